"""Stores of other versions, and stores on file systems that cannot do what a store needs: clear words, or it works."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import DEADLINE

from builder.store.database import SCHEMA_VERSION

# Stores of older forms, each made by the program of its time from the context below, without index files.
OLD = Path(__file__).parent


def call(store: Path, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, PYBUILD_STORE=str(store))
    line = [*before, sys.executable, "-m", "builder", *words]
    return subprocess.run(line, capture_output=True, text=True, env=env, timeout=DEADLINE)


def write_context(folder: Path) -> Path:
    (folder / "tree").mkdir(parents=True, mode=0o755)
    (folder / "tree").chmod(0o755)
    (folder / "tree" / "a").write_text("hello\n")
    (folder / "tree" / "a").chmod(0o644)
    (folder / "Buildfile").write_text("FROM scratch\nCOPY tree /tree\nWORKDIR /w\nCOPY tree/a /b\n")
    return folder


def unpack(tmp_path: Path, version: int = 3) -> Path:
    store = tmp_path / "store"
    store.mkdir()
    subprocess.run(
        ["tar", "-xzpf", str(OLD / f"store-version-{version}.tar.gz"), "-C", str(store)], check=True
    )
    return store


@pytest.mark.parametrize("version", [1, 2, 3, 4, 9])
def test_an_older_store_is_taken_over_with_its_cache(tmp_path: Path, version: int) -> None:
    store, context = unpack(tmp_path, version), write_context(tmp_path / "context")
    with sqlite3.connect(store / "pybuild.db") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (version,)
    database.close()
    assert "old" in call(store, "images").stdout
    built = call(store, "build", "--progress", "plain", "-t", "new", str(context))
    assert "3 steps: 3 hits, 0 misses" in built.stderr, built.stderr
    for words in (["report"], ["report", "--last"], ["report", "--trend"], ["explain"], ["doctor"]):
        done = call(store, *words)
        assert (done.returncode, done.stderr) == (0, ""), words
    # What commands printed is the user's own, also in a database that was readable for all.
    assert (store / "pybuild.db").stat().st_mode & 0o777 == 0o600
    (store / "pybuild.db").chmod(0o644)
    call(store, "build", "-q", str(context))
    assert (store / "pybuild.db").stat().st_mode & 0o777 == 0o600
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


@pytest.mark.parametrize("kind", ["ramfs", "overlay"])
def test_file_systems_that_steps_cannot_work_on(tmp_path: Path, kind: str) -> None:
    """One without extended attributes, and one that no overlay can be mounted on (what containers have for their own files)."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    context, folder = write_context(tmp_path / "context"), tmp_path / "mounted"
    names = [f"{name}={tmp_path / name}" for name in ("lowerdir", "upperdir", "workdir")]
    for path in (folder, *(tmp_path / name.partition("=")[0] for name in names)):
        path.mkdir()
    options = ["-o", ",".join(names)] if kind == "overlay" else []
    if subprocess.run(["mount", "-t", kind, *options, kind, str(folder)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    store = folder / "store"
    try:
        done = call(store, "build", str(context))
        assert done.returncode == 1
        assert f"steps cannot work on the file system of the store ({kind}): " in done.stderr, done.stderr
        assert "hint: keep the store on ext4, xfs, btrfs or tmpfs" in done.stderr
        assert list((store / "runs").iterdir()) == []
        told = json.loads(call(store, "doctor", "--json").stdout)
        assert [one["about"] for one in told if one["state"] == "problem"] == ["file system"], told
        # What needs no step works there: an image is loaded and saved.
        good = tmp_path / "good"
        assert call(good, "build", "-t", "app", str(context)).returncode == 0
        assert call(good, "save", "app", "-o", str(tmp_path / "app.tar")).returncode == 0
        assert call(store, "load", "-i", str(tmp_path / "app.tar")).returncode == 0
        assert call(store, "save", "app", "-o", str(tmp_path / "again.tar")).returncode == 0
        done = call(store, "run", "app", "x")
        assert done.returncode == 1
        assert f"steps cannot work on the file system of the store ({kind}): " in done.stderr, done.stderr
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("call_name", ["newfstatat", "openat", "mkdirat", "renameat"])
def test_a_network_file_system_whose_server_forgot_files(tmp_path: Path, call_name: str) -> None:
    store, context = tmp_path / "store", write_context(tmp_path / "context")
    assert call(store, "build", "-t", "app", str(context)).returncode == 0
    for number in (1, 3):
        paths = [word for name in ("", "/runs", "/snapshots", "/secret") for word in ("-P", f"{store}{name}")]
        inject = ("-e", f"trace={call_name}", "-e", f"inject={call_name}:error=ESTALE:when={number}+")
        before = ("strace", "-f", "-qq", "-o", os.devnull, *paths, *inject)
        done = call(store, "build", "--no-cache", "-t", "app", str(context), before=before)
        said = f"{call_name} {number}: {done.stderr}"
        assert "Traceback" not in done.stderr and "a mistake in pybuild" not in done.stderr, said
        assert done.returncode in (0, 1), said
        assert done.returncode == 0 or "error: " in done.stderr, said
    for hits in ("", "3 hits"):
        again = call(store, "build", "--progress", "plain", "-t", "app", str(context))
        assert again.returncode == 0 and hits in again.stderr, again.stderr


MISSING = {
    "locks": ("-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"),
    "shared memory": ("-P", "{store}/pybuild.db-shm", "-e", "trace=mmap", "-e", "inject=mmap:error=ENODEV"),
    "record locks": ("-P", "{store}/pybuild.db", "-e", "trace=fcntl", "-e", "inject=fcntl:error=ENOLCK"),
}


def on_such(missing: str, store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    trace = [word.format(store=store) for word in MISSING[missing]]
    return call(store, *words, before=("strace", "-f", "-qq", "-o", os.devnull, *trace))


def check_told(done: subprocess.CompletedProcess[str]) -> None:
    said = f"{done.args}: {done.stdout}{done.stderr}"
    assert done.returncode == 1, said
    assert "Traceback" not in done.stderr
    assert "damaged" not in done.stderr
    assert "hint: " in done.stderr, said
    assert "local disk" in done.stderr, said


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("missing", ["locks", "shared memory"])
def test_network_like_file_systems(tmp_path: Path, missing: str, new: bool) -> None:
    """No flock (NFS without its lock daemon), no shared mmap (many FUSE file systems)."""
    store, context = tmp_path / "store", write_context(tmp_path / "context")
    if not new:
        assert call(store, "build", "-t", "app", str(context)).returncode == 0
    for words in (["build", str(context)], ["du"], ["prune", "--force"]):
        check_told(on_such(missing, store, *words))
    check_as_it_was(store, context, new)


def check_as_it_was(store: Path, context: Path, new: bool) -> None:
    """On a file system that can, all is as it was."""
    built = call(store, "build", "--progress", "plain", "-t", "app", str(context))
    assert built.returncode == 0, built.stderr
    assert ("3 hits" in built.stderr) is not new


def test_file_systems_without_record_locks(tmp_path: Path) -> None:
    """No fcntl locks. SQLite waits for half a minute, for which a new store and an old one are tried side by side."""
    context, stores = write_context(tmp_path / "context"), [tmp_path / "new", tmp_path / "old"]
    assert call(stores[1], "build", "-t", "app", str(context)).returncode == 0
    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(lambda store: on_such("record locks", store, "build", str(context)), stores):
            check_told(done)
    for store, new in zip(stores, (True, False), strict=True):
        check_as_it_was(store, context, new)
