"""The same files give the same image: in other surroundings, for other users, at other times."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PYBUILD, Run
from user_place import User

BUILDFILE = """\
FROM base AS tools
WORKDIR /w/deep
COPY --chown=1000:50 src /w/src
RUN mkdir /out && cp -p /w/src/tool /out/ && ln /out/tool /out/other && cat /w/src/big > /out/big && mkfifo /out/pipe
RUN stat -c '%n %Y %a' /w/src /w/src/* > /out/seen && hostname >> /out/seen && umask >> /out/seen && rm /etc/group
RUN --mount=type=bind,source=src,target=/b stat -c '%n %Y %a' /b/* > /out/bound && stat -c "%n %Y" /w /w/src /out/s* /out/t* /etc > /out/again && echo $SOURCE_DATE_EPOCH > /out/epoch
FROM base
COPY --from=tools /out /out
COPY src /app/
COPY --parents src/sub/ë /parents/
COPY --from=named . /named
ADD packed.tar /packed/
COPY <<EOF /text
inline
EOF
RUN chown -R 1000:50 /app/sub && chmod 4755 /app/tool && touch -d '2001-02-03 04:05:06' /app/old
USER app
CMD ["/app/tool"]
"""
NAMES = ["tool", "old", "big", "sub/ë", "sub/a b", "empty/.keep"]


def packed() -> bytes:
    """An archive with what only it can carry from machine to machine: owners, times, a capability."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("can")
        info.mode, info.uid, info.gid, info.mtime, info.size = 0o755, 7, 8, 1500000000, 3
        capability = b"\x01\x00\x00\x02\x00\x20\x00\x00" + bytes(12)
        info.pax_headers = {"SCHILY.xattr.security.capability": capability.decode("latin-1")}
        tar.addfile(info, io.BytesIO(b"can"))
    return buffer.getvalue()


def fill(folder: Path, *, umask: int, when: float, backwards: bool) -> Path:
    """A checkout of the same files: made in one order or the other, with one umask or another, then or now."""
    dice = random.Random(5)
    contents = {name: dice.randbytes(40) for name in NAMES}
    contents["big"] = "".join(f"{dice.random()}\n" for _ in range(180_000)).encode()
    context = folder / "context"
    earlier = os.umask(umask)
    try:
        (context / "named").mkdir(parents=True)
        for name in reversed(NAMES) if backwards else NAMES:
            path = context / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[name])
        (context / "src/link").symlink_to("sub/a b")
        (context / "named/file").write_text("named")
        (context / "Buildfile").write_text(BUILDFILE)
        (context / "packed.tar").write_bytes(packed())
        tool = context / "src/tool"
        tool.chmod(0o777 & ~umask)
    finally:
        os.umask(earlier)
    for path in [*context.rglob("*"), context]:
        os.utime(path, (when, when), follow_symlinks=False)
    return context


def flags(context: Path, base: Path, out: Path) -> list[str]:
    named = f"named={context / 'named'}"
    return ["build", "--reproducible", "--build-context", named, "--build-context", f"base=oci-layout://{base}",
            "-o", f"type=oci,dest={out}", "--metadata-file", f"{out}.json", str(context)]  # fmt: skip


def digest_of(out: Path) -> str:
    found: str = json.loads(Path(f"{out}.json").read_text())["containerimage.digest"]
    return found


def times(archive: Path, *, skip: int) -> set[int]:
    """The times of files in an archive's layers, but the first `skip`, which are the base's."""
    found: set[int] = set()
    with tarfile.open(archive) as tar:

        def blob(digest: str) -> Any:
            stream = tar.extractfile("blobs/sha256/" + digest.removeprefix("sha256:"))
            assert stream is not None
            return stream.read()

        stream = tar.extractfile("index.json")
        assert stream is not None
        manifest = json.loads(blob(json.loads(stream.read())["manifests"][0]["digest"]))
        for layer in manifest["layers"][skip:]:
            with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as inner:
                found |= {int(entry.mtime) for entry in inner}
    return found


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, bases: Path) -> Path:
    """The archive that one machine makes."""
    folder = tmp_path_factory.mktemp("first")
    context = fill(folder, umask=0o022, when=1_600_000_000, backwards=False)
    line = [*PYBUILD, *flags(context, bases / "base", folder / "out.tar"), "--store", str(folder / "store")]
    subprocess.run(line, check=True, capture_output=True)
    return folder / "out.tar"


def test_other_surroundings(first: Path, bases: Path) -> None:
    """Another umask, time zone, language, place of store and context (another file system too), age and order of files,
    one processor and one step at a time, another host environment.
    """
    elsewhere = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="pybuild-ünother ", dir=elsewhere) as name:
        folder = Path(name)
        context = fill(folder, umask=0o077, when=1_700_000_123.456, backwards=True)
        line = [*PYBUILD, *flags(context, bases / "base", folder / "out.tar"), "--jobs", "1"]
        env = dict(os.environ, PYBUILD_STORE=str(folder / "another store"), TZ="Pacific/Kiritimati")
        env |= {
            "LC_ALL": "tr_TR.UTF-8",
            "LANG": "tr_TR.UTF-8",
            "PYTHONHASHSEED": "17",
            "HOSTNAME": "elsewhere",
        }
        one = min(os.sched_getaffinity(0))
        subprocess.run(
            ["sh", "-c", 'umask 077; exec taskset -c "$@"', "sh", str(one), *line],
            check=True, capture_output=True, env=env, cwd=folder,
        )  # fmt: skip
        assert digest_of(folder / "out.tar") == digest_of(first)
        assert (folder / "out.tar").read_bytes() == first.read_bytes()


def test_another_user_without_rights(first: Path, user: User) -> None:
    context = user.own(fill(user.folder, umask=0o002, when=1_650_000_000, backwards=True))
    out = user.folder / "out.tar"
    user.run(*flags(context, user.base, out))
    assert digest_of(out) == digest_of(first)


def test_nothing_in_the_layers_is_of_today(first: Path) -> None:
    assert times(first, skip=1) == {315532800}


Build = Callable[..., "tuple[str, Path]"]


@pytest.fixture
def build(pybuild: Run, context: Path, tmp_path: Path) -> Build:
    """Builds the context; gives the manifest's digest and the archive."""

    def run(*words: str, output: str = "") -> tuple[str, Path]:
        out = tmp_path / "out.tar"
        out.unlink(missing_ok=True)
        pybuild(
            "build", "-o", f"type=oci,dest={out}{output}", "--metadata-file", f"{out}.json", *words, context
        )
        return digest_of(out), out

    return run


def test_an_epoch_of_ones_own(build: Build, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (context / "f").write_text("f")
    os.utime(context / "f", (1_000_000_000, 1_000_000_000))
    (context / "Buildfile").write_text(
        "FROM base\nARG SOURCE_DATE_EPOCH=1300000000\nCOPY f /f\nRUN touch /g && touch -d @1200000000 /old"
        " && test $SOURCE_DATE_EPOCH = $WANTED\nARG WANTED\n".replace("ARG SOURCE", "ARG WANTED\nARG SOURCE")
    )
    # What comes from the context gets the time, older or not; what a command dated earlier stays so.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1400000000")
    once, out = build("--reproducible", "--build-arg", "WANTED=1400000000")
    assert times(out, skip=1) == {1400000000, 1200000000}
    os.utime(context / "f", (1_350_000_000, 1_350_000_000))
    assert build("--reproducible", "--no-cache", "--build-arg", "WANTED=1400000000")[0] == once
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")
    other, out = build("--reproducible", "--build-arg", "WANTED=1500000000")
    assert other != once and times(out, skip=1) == {1500000000, 1200000000}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1400000000")
    assert build("--reproducible", "--build-arg", "WANTED=1400000000")[0] == once


def test_what_a_build_without_it_left_is_not_taken(build: Build, context: Path) -> None:
    """The files are equal but for their times: an ordinary build's snapshot must not end in a reproducible image."""
    (context / "f").write_text("f")
    os.utime(context / "f", (300_000_000, 300_000_000))  # older than any epoch
    (context / "Buildfile").write_text(
        "FROM base\nWORKDIR /w\nCOPY --from=base /etc/passwd /new/passwd\nRUN stat -c '%n %Y' /w /new > /seen\n"
        "COPY f /f\nRUN cp -p /f /g\n"
    )
    ordinary, _ = build()
    once, out = build("--reproducible")
    assert build("--reproducible", "--no-cache")[0] == once  # which took nothing of the ordinary build's
    assert times(out, skip=1) == {315532800}
    assert once != ordinary
    assert build()[0] == ordinary


def test_rewriting_times_alone(build: Build, context: Path) -> None:
    """As BuildKit does it: newer times only, and nothing of the base."""
    (context / "f").write_text("f")
    os.utime(context / "f", (1_000_000_000, 1_000_000_000))
    (context / "Buildfile").write_text("FROM base\nCOPY f /f\nRUN touch /g\n")
    epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1200000000"]
    _, out = build(*epoch)
    assert max(times(out, skip=1)) > 1_600_000_000  # not without being asked
    once, out = build(*epoch, output=",rewrite-timestamp=true")
    assert times(out, skip=1) == {1_000_000_000, 1_200_000_000}
    assert times(out, skip=0) == {1_000_000_000, 1_200_000_000, 1609459200}
    assert build(*epoch, "--no-cache", output=",rewrite-timestamp=true")[0] == once


def test_rewriting_without_an_epoch_is_told(pybuild: Run, context: Path, tmp_path: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN touch /g\n")
    done = pybuild("build", "-o", f"type=oci,dest={tmp_path / 'o.tar'},rewrite-timestamp=true", context)
    assert "rewrite-timestamp does nothing without SOURCE_DATE_EPOCH" in done.stderr


def test_the_history_of_a_base_stays(pybuild: Run, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base AS one\nRUN touch /g\nFROM one\nRUN touch /h\n")
    pybuild("build", "-t", "app", "--build-arg", "SOURCE_DATE_EPOCH=1000000000", context)
    shown = json.loads(pybuild("history", "--json", "app").stdout)
    created = [entry["created"] for entry in shown]
    assert sorted(set(created)) == ["2001-09-09T01:46:40Z", "2021-01-01T00:00:00Z"]
    assert created.count("2001-09-09T01:46:40Z") == 2


def test_a_folder_as_base_and_one_that_no_tool_dates(build: Build, context: Path, tmp_path: Path) -> None:
    folder = tmp_path / "root"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/x").write_text("x")
    (context / "Buildfile").write_text("FROM folder\nCOPY <<EOF /f\ntext\nEOF\n")
    line = ["--reproducible", "--build-context", f"folder={folder}"]
    once, out = build(*line)
    assert times(out, skip=0) == {315532800}
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/bin/x").chmod(0o600)
    assert build("--reproducible", "--build-context", f"folder={tmp_path / 'copy'}", "--no-cache")[0] == once
