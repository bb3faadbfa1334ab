"""Machines that share nothing but a remote cache: stores at different places, another umask, another time zone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import PYBUILD, Run

BUILDFILE = """\
FROM base AS build
WORKDIR /w
COPY src /w/src
RUN cat src/* > out && date +%N > stamp
RUN echo side > /side
FROM base
COPY --from=build /w/out /out
RUN echo done > /done
"""


def write_project(folder: Path) -> None:
    """The project that machines have."""
    (folder / "src").mkdir(parents=True)
    (folder / "Buildfile").write_text(BUILDFILE)
    (folder / "src" / "a").write_text("a\n")
    (folder / "src" / "b").write_text("b\n")


class Built:
    """How a build ended: its report, its log and its exit status."""

    def __init__(self, report: dict[str, Any], text: str, status: int) -> None:
        self.report, self.text, self.status = report, text, status
        self.steps = {step["title"].split("] ")[-1]: step for step in report["steps"]}

    def outcomes(self) -> list[str]:
        return [
            step["outcome"]
            for title, step in self.steps.items()
            if not title.startswith(("FROM", "export", "fetching"))
        ]

    def reasons(self, title: str) -> list[str]:
        (step,) = [step for name, step in self.steps.items() if name.startswith(title)]
        return [reason["detail"] for reason in step["reasons"]]


def patient(args: tuple[str | Path, ...]) -> list[str | Path]:
    """No cache is given up because the machine is busy, where a test does not say how long to wait for it."""
    return [
        _patient(str(arg)) if before == "--cache-from" else arg
        for before, arg in zip(("", *args), args, strict=False)
    ]


def _patient(cache: str) -> str:
    whole = cache if "=" in cache else f"type=registry,ref={cache}"
    return whole if ",wait=" in whole else f"{whole},wait=600"


class Machine:
    """A store of its own, a copy of the project at a place of its own, a time zone and a umask."""

    def __init__(self, run: Run, folder: Path, project: Path, number: int, bases: Path) -> None:
        self._run, self._bases = run, bases / "base"
        self.store = folder / "data" / "store"
        self.project = folder / "checkout"
        shutil.copytree(project, self.project)
        self._zone = ("UTC", "Asia/Tokyo", "America/New_York")[number % 3]
        self._umask = (0o022, 0o077, 0o002)[number % 3]

    def build(self, *args: str | Path, ok: bool = True, **options: object) -> Built:
        report = self.store.parent / "report.json"
        report.parent.mkdir(parents=True, exist_ok=True)
        before = os.umask(self._umask)
        os.environ["TZ"] = self._zone
        words = [
            "--store",
            self.store,
            "--progress",
            "plain",
            "--report",
            report,
            *patient(args),
            self.project,
        ]
        try:
            done = self._run("build", *words, ok=ok, **options)
        finally:
            os.umask(before)
            del os.environ["TZ"]
        assert "Traceback" not in done.stderr
        return Built(json.loads(report.read_text()), done.stderr, done.returncode)

    def quiet(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """A build that shows nothing but the image's id."""
        return self._run("build", "--quiet", "--store", self.store, *args, self.project)

    def plan(self, *args: str | Path, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """What a build would find, as JSON."""
        context = f"--build-context=base=oci-layout://{self._bases}"
        words = ["--store", self.store, "--format", "json", context, *patient(args), self.project]
        return self._run("plan", *words, ok=ok)

    def files(self) -> dict[str, str]:
        """The content of all files that the store has, but for locks; what SQLite has open beside its file is none."""
        return {
            str(path.relative_to(self.store)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.store.rglob("*")
            if path.is_file()
            and not path.is_symlink()
            and path.suffix not in (".db-wal", ".db-shm")
            and "locks" not in path.parts
        }

    def refused(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """A build that ends before it began."""
        return self._run("build", "--store", self.store, *args, self.project, ok=False)

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        """A build that goes on beside others; its output is one stream."""
        words = [*PYBUILD, "build", "--store", self.store, "--progress", "plain"]
        words += ["--build-context", f"base=oci-layout://{self._bases}", *args, self.project]
        return subprocess.Popen(
            [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def command(self, *args: str | Path) -> str:
        return self._run(args[0], "--store", self.store, *args[1:]).stdout

    def write(self, path: str, text: str) -> None:
        (self.project / path).write_text(text)

    def layers(self) -> int:
        """How many snapshots the store has."""
        return len(os.listdir(self.store / "snapshots"))


NewMachine = Callable[[], Machine]


def is_right(machine: Machine, built: Built) -> None:
    """Whatever the cache did, the image is what it must be."""
    assert built.status == 0
    assert machine.command("run", built.report["image"], "cat", "/out", "/done") == "a\nb\ndone\n"


def rewrite_records(
    cache: Path, change: Callable[[dict[str, Any]], object], *, signature: str | None = None
) -> None:
    """Change the document of a cache in a folder, with digests that are right again, as whoever may write there can."""
    index = json.loads((cache / "index.json").read_text())
    entry = index["manifests"][-1]
    manifest = json.loads(blob(cache, entry["digest"]).read_text())
    document = json.loads(blob(cache, manifest["config"]["digest"]).read_text())
    changed = change(document)
    data = changed if isinstance(changed, bytes) else json.dumps(document).encode()
    manifest["config"] |= {"digest": put(cache, data), "size": len(data)}
    if signature is not None:
        manifest["annotations"] = {"io.pybuild.cache.signature": signature}
    text = json.dumps(manifest).encode()
    entry |= {"digest": put(cache, text), "size": len(text)}
    (cache / "index.json").write_text(json.dumps(index))


def manifest_of(cache: Path) -> dict[str, Any]:
    """The manifest of the last cache that a folder names."""
    index = json.loads((cache / "index.json").read_text())
    manifest: dict[str, Any] = json.loads(blob(cache, index["manifests"][-1]["digest"]).read_text())
    return manifest


def rename_cache(cache: Path, name: str) -> None:
    """Give the last cache of a folder another name."""
    index = json.loads((cache / "index.json").read_text())
    index["manifests"][-1]["annotations"]["org.opencontainers.image.ref.name"] = name
    (cache / "index.json").write_text(json.dumps(index))


def blob(cache: Path, digest: str) -> Path:
    return cache / "blobs" / "sha256" / digest.removeprefix("sha256:")


def put(cache: Path, data: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    blob(cache, digest).write_bytes(data)
    return digest
