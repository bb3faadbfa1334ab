"""Stores of other versions, and stores on file systems that cannot do what a store needs: clear words, or it works."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.store.database import SCHEMA_VERSION

# A store of form 3, made by the program of that time from the context below, without index files.
OLD = Path(__file__).parent / "store-version-3.tar.gz"


def call(store: Path, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, PYBUILD_STORE=str(store))
    line = [*before, sys.executable, "-m", "builder", *words]
    return subprocess.run(line, capture_output=True, text=True, env=env, timeout=120)


def write_context(folder: Path) -> Path:
    (folder / "tree").mkdir(parents=True, mode=0o755)
    (folder / "tree").chmod(0o755)
    (folder / "tree" / "a").write_text("hello\n")
    (folder / "tree" / "a").chmod(0o644)
    (folder / "Buildfile").write_text("FROM scratch\nCOPY tree /tree\nWORKDIR /w\nCOPY tree/a /b\n")
    return folder


def unpack(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    store.mkdir()
    subprocess.run(["tar", "-xzpf", str(OLD), "-C", str(store)], check=True)
    return store


def test_an_older_store_is_taken_over_with_its_cache(tmp_path: Path) -> None:
    store, context = unpack(tmp_path), write_context(tmp_path / "context")
    with sqlite3.connect(store / "pybuild.db") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (3,)
    database.close()
    assert "old" in call(store, "images").stdout
    built = call(store, "build", "--progress", "plain", "-t", "new", str(context))
    assert "3 steps: 3 hits, 0 misses" in built.stderr, built.stderr
    shown = json.loads(call(store, "images", "--json").stdout)
    assert [sorted(image["RepoTags"]) for image in shown] == [["new:latest", "old:1"]]
    seen = json.loads(call(store, "du", "--format", "json").stdout)
    assert sum(item["kind"] == "step" for item in seen["items"]) == 3
    call(store, "rmi", "new", "old:1")
    pruned = json.loads(call(store, "prune", "--format", "json").stdout)
    assert len(pruned["items"]) == 3
    with sqlite3.connect(store / "pybuild.db") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    database.close()


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    store, context = unpack(tmp_path), write_context(tmp_path / "context")
    with sqlite3.connect(store / "pybuild.db") as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    before = (store / "pybuild.db").read_bytes()
    for words in (["build", str(context)], ["images"], ["du"], ["prune", "--force"]):
        done = call(store, *words)
        assert done.returncode == 1
        assert "made by a newer version of pybuild" in done.stderr
        assert "hint: " in done.stderr
    assert (store / "pybuild.db").read_bytes() == before


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system that can be mounted anew in other ways."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    folder = tmp_path / "mounted"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_file_system_that_can_only_be_read(mounted: Path, tmp_path: Path) -> None:
    store, context = mounted / "store", write_context(tmp_path / "context")
    assert call(store, "build", "-t", "app", str(context)).returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    for words in (
        ["build", str(context)],
        ["images"],
        ["du"],
        ["prune"],
        ["rmi", "app"],
        ["run", "app", "x"],
    ):
        done = call(store, *words)
        assert done.returncode == 1, words
        assert "file system that can only be read" in done.stderr, done.stderr
        assert "hint: " in done.stderr
    done = call(mounted / "other", "build", str(context))
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("missing", ["locks", "shared memory", "record locks"])
def test_network_like_file_systems(tmp_path: Path, missing: str, new: bool) -> None:
    """No flock (NFS without its lock daemon), no shared mmap (many FUSE file systems), no fcntl locks."""
    store, context = tmp_path / "store", write_context(tmp_path / "context")
    if not new:
        assert call(store, "build", "-t", "app", str(context)).returncode == 0
    trace = {
        "locks": ("-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"),
        "shared memory": (
            "-P",
            f"{store}/pybuild.db-shm",
            "-e",
            "trace=mmap",
            "-e",
            "inject=mmap:error=ENODEV",
        ),
        "record locks": ("-P", f"{store}/pybuild.db", "-e", "trace=fcntl", "-e", "inject=fcntl:error=ENOLCK"),
    }[missing]
    before = ("strace", "-f", "-qq", "-o", os.devnull, *trace)
    commands = [["build", str(context)], ["du"], ["prune", "--force"]]
    for words in commands[:1] if missing == "record locks" else commands:  # SQLite waits for half a minute
        done = call(store, *words, before=before)
        assert done.returncode == 1, f"{words}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        assert "damaged" not in done.stderr
        assert "hint: " in done.stderr, done.stderr
        assert "local disk" in done.stderr, done.stderr
    # On a file system that can, all is as it was.
    built = call(store, "build", "--progress", "plain", "-t", "app", str(context))
    assert built.returncode == 0, built.stderr
    assert ("3 hits" in built.stderr) is not new
