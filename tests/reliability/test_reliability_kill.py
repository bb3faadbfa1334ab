"""Builds that are killed at any moment: nothing breaks but their own work, and nothing of that stays.

PYBUILD_KILLS says how many builds are killed (30); the full campaign has 1,000.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import DEADLINE

from builder.core.tree import sweep_listings

KILLS = int(os.environ.get("PYBUILD_KILLS", "30"))
SEED = int(os.environ.get("PYBUILD_SEED", "1"))
FILE = """FROM base AS one
COPY tree /tree
RUN cat /tree/* > /sum && mkdir /d && echo x > /d/x
FROM base AS two
COPY tree/0 /zero
RUN --mount=type=cache,target=/c date >> /c/log; echo two > /two
FROM base
COPY --from=one /sum /sum
COPY --from=two /two /two
RUN rm -r /tree 2>/dev/null; mv /two /three
"""


class Project:
    """A context that changes from build to build, and the command line that builds it."""

    def __init__(self, folder: Path, base: Path, rng: random.Random) -> None:
        self.context, self.store, self.rng, self.base = folder / "context", folder / "store", rng, base
        (self.context / "tree").mkdir(parents=True)
        (self.context / "Buildfile").write_text(FILE)
        for number in range(220):
            (self.context / "tree" / str(number)).write_text(f"{number}\n" * number)

    def edit(self) -> None:
        """One of a few variations, so that some steps hit."""
        (self.context / "tree" / "7").write_text(f"variation {self.rng.randrange(6)}\n")
        if self.rng.random() < 0.3:
            (self.context / "tree" / "0").write_text(f"variation {self.rng.randrange(3)}\n")

    def line(self, store: Path, *more: str) -> list[str]:
        base = f"base=oci-layout://{self.base}"
        line = [sys.executable, "-m", "builder", "build", "--store", str(store), "--progress", "plain"]
        return [*line, "--build-context", base, *more, str(self.context)]


def call(*line: str) -> str:
    done = subprocess.run(line, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tell(store: Path, *words: str) -> str:
    return call(sys.executable, "-m", "builder", words[0], "--store", str(store), *words[1:])


def files_of(project: Project, store: Path, out: Path) -> str:
    """The digest of all files of a build's result, with modes and owners, but without times."""
    call(*project.line(store, "-o", f"type=tar,dest={out}"))
    listing = call("tar", "--numeric-owner", "-tvf", str(out))
    lines = sorted(" ".join([*line.split()[:3], *line.split()[5:]]) for line in listing.splitlines())
    contents = call(
        "sh", "-c", f"tar -xOf {out} tree sum three 2>/dev/null | cat; tar -xOf {out} sum three | sha256sum"
    )
    out.unlink()
    return "\n".join(lines) + contents


def kill_after(line: list[str], seconds: float) -> bool:
    """Start a build and kill it and nothing else; whether it was still at work."""
    started = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        started.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(started.pid, signal.SIGKILL)
    return started.wait() == -signal.SIGKILL


def check_store(store: Path) -> None:
    """The database is sound, and what it names is there."""
    with sqlite3.connect(store / "pybuild.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for (snapshot,) in database.execute("SELECT snapshot FROM states"):
            assert (store / "snapshots" / snapshot / "fs").is_dir()
        for manifest, config in database.execute("SELECT manifest, config FROM images"):
            for digest in (manifest, config):
                assert (store / "blobs" / "sha256" / digest.removeprefix("sha256:")).is_file()
    database.close()


def check_nothing_lost(store: Path) -> None:
    """Every file belongs to a row, and nothing is going on."""
    with sqlite3.connect(store / "pybuild.db") as database:

        def column(query: str) -> set[str]:
            return {str(row[0]).removeprefix("sha256:") for row in database.execute(query)}

        snapshots = column("SELECT snapshot FROM states")
        kept = column("SELECT listing FROM records")
        blobs = column("SELECT digest FROM layers") | column("SELECT manifest FROM images")
        blobs |= column("SELECT config FROM images") | column("SELECT digest FROM downloads")
    database.close()
    assert set(os.listdir(store / "snapshots")) == snapshots
    assert {path.name for path in store.glob("listings/*/*") if path.suffix != ".leaf"} <= kept
    for folder in (store / "listings").iterdir():
        assert sweep_listings(str(folder), (store / "secret").read_bytes()) == 0
    assert set(os.listdir(store / "blobs" / "sha256")) <= blobs
    assert os.listdir(store / "runs") == []
    assert all(set(name) <= set("0123456789abcdef") for name in os.listdir(store / "indexes"))
    assert [name for name in os.listdir(store) if name.startswith(".")] == []


# What was, and how often: a store whose files all went still has its history.
REMEMBERED = {
    "builds",
    "build_steps",
    "build_details",
    "details",
    "step_texts",
    "evictions",
    "outputs",
    "sendings",
}
REMEMBERED |= {"settings", "sqlite_sequence"}


def count(store: Path) -> dict[str, int]:
    """How much of each kind there is in a store: files, and rows but those of its history."""
    found: dict[str, int] = {}
    for path in store.rglob("*"):
        inside = path.relative_to(store)
        # Locks have names for what was done here once; where a listing is cut into leaves the store's secret says.
        if inside.parts[0] == "locks" or path.suffix == ".leaf" or path.name.startswith("pybuild.db"):
            continue
        kind = str(Path(*inside.parts[:-1]) if inside.parts[0] == "blobs" else inside.parts[0])
        found[kind] = found.get(kind, 0) + 1
    with sqlite3.connect(store / "pybuild.db") as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table not in REMEMBERED:
                found[f"rows of {table}"] = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    database.close()
    return found


@pytest.mark.timeout(900 + 10 * KILLS)
def test_builds_killed_at_any_moment(bases: Path, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    project = Project(tmp_path, bases / "base", rng)
    store = project.store
    call(*project.line(store, "-t", "app"))
    begin = time.monotonic()
    call(*project.line(store, "-t", "app", "--no-cache"))
    latest = time.monotonic() - begin
    killed = left = 0
    for number in range(KILLS):
        project.edit()
        flags = ["-t", "app"] if number % 3 else ["--no-cache", "-o", f"type=oci,dest={tmp_path / 'x.tar'}"]
        in_time = kill_after(project.line(store, *flags), rng.uniform(0.02, latest))
        killed += in_time
        latest *= 1.1 if in_time else 0.7  # however busy the machine is, about four of five are still at work
        # The machine goes on: whoever opens the store next finds it sound.
        if number % 10 == 9:
            tell(store, "images")
            check_store(store)
        if number % 25 == 24:
            left += len(os.listdir(store / "runs"))
            tell(store, "prune", "--force", "--filter", "until=1h")
            check_nothing_lost(store)
    assert killed > KILLS // 3
    project.edit()
    assert files_of(project, store, tmp_path / "a.tar") == files_of(
        project, tmp_path / "fresh", tmp_path / "b.tar"
    )
    tell(store, "prune", "--force", "--filter", "until=1h")
    check_store(store)
    check_nothing_lost(store)
    tell(store, "rmi", "app")
    tell(store, "prune", "--force", "--all")
    assert json.loads(tell(store, "du", "--format", "json"))["items"] == []
    check_nothing_lost(store)
    remaining = count(store)
    assert [kind for kind, number in remaining.items() if kind.startswith("rows of ") and number] == []
    # What is in it after one more build is what is in a new store after the same one, neither more nor less.
    for place in (store, tmp_path / "new"):
        call(*project.line(place, "-t", "app"))
    assert count(store) == count(tmp_path / "new")
    print(f"{killed} of {KILLS} builds were killed at work, {left} runs were left to sweep")


@pytest.mark.timeout(900 + 10 * KILLS)
def test_prunes_killed_at_any_moment_beside_builds(bases: Path, tmp_path: Path) -> None:
    """Builds go on while prunes come and die: no build fails, and each gives what a fresh store gives."""
    rng = random.Random(SEED)
    project = Project(tmp_path, bases / "base", rng)
    store = project.store
    call(*project.line(store))
    prune = [sys.executable, "-m", "builder", "prune", "--store", str(store), "--force", "--all"]
    for number in range(max(3, KILLS // 6)):
        project.edit()
        build = subprocess.Popen(
            project.line(store, "-t", "app"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while build.poll() is None:
            if number % 2:
                kill_after(prune, rng.uniform(0.05, 0.5))
            else:
                call(*prune)
        error = build.communicate()[1]
        assert build.returncode == 0, error
        assert "Traceback" not in error
        tell(store, "rmi", "app")
    check_store(store)
    assert files_of(project, store, tmp_path / "a.tar") == files_of(
        project, tmp_path / "fresh", tmp_path / "b.tar"
    )
    call(*prune)
    check_nothing_lost(store)
