"""A file system that is full at any moment of a build: a clear error, a sound store, and the next build with room works.

PYBUILD_POINTS (5) says at how many amounts of free space a build is tried, spread over all that it writes: with one for each page
every write that takes room fails once. PYBUILD_WRITES (5) says how many of the calls that write or make something fail with
ENOSPC in builds, one in each thread of each; 1000 are all.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DEADLINE

POINTS = int(os.environ.get("PYBUILD_POINTS", "5"))
WRITES = int(os.environ.get("PYBUILD_WRITES", "5"))
CALLS = "write,pwrite64,writev,copy_file_range,sendfile,fallocate,ftruncate,mkdir,mkdirat,link,linkat,symlink,symlinkat"
CALLS += ",rename,renameat,renameat2,mknod,mknodat,fsetxattr,lsetxattr,fdatasync,fsync,syncfs"
SIZE = 32 << 20
FILE = """FROM base
COPY tree /tree
RUN dd if=/dev/zero of=/zeros bs=4k count=40 && cat /tree/* > /sum
WORKDIR /w
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def free(folder: Path) -> int:
    seen = os.statvfs(folder)
    return seen.f_bavail * seen.f_frsize


def fill(folder: Path, leave: int) -> Path:
    """Take all space but some."""
    ballast = folder / "ballast"
    with ballast.open("wb") as stream:
        left = free(folder) - leave
        block = bytes(4096)
        while left > 0:
            stream.write(block[: min(left, 4096)])
            left -= 4096
    return ballast


class Sample:
    """A context, and the store that its builds begin with, which has the base."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.context, self.sound, self.base = folder / "context", folder / "sound", base
        (self.context / "tree").mkdir(parents=True)
        for number in range(210):
            (self.context / "tree" / str(number)).write_bytes(os.urandom(100 + number))
        (self.context / "Buildfile").write_text("FROM base\nRUN true\n")
        assert self.build(self.sound).returncode == 0
        (self.context / "Buildfile").write_text(FILE)

    def call(
        self, store: Path, *words: str, before: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        env = dict(os.environ, PYBUILD_STORE=str(store))
        line = [*before, sys.executable, "-m", "builder", *words]
        return subprocess.run(line, capture_output=True, text=True, env=env, timeout=DEADLINE)

    def build(self, store: Path, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        flags = ["--progress", "plain", "-t", "app", "--build-context", f"base=oci-layout://{self.base}"]
        return self.call(store, "build", *flags, str(self.context), before=before)

    def result(self, store: Path) -> str:
        done = self.call(store, "run", "app", "sh", "-c", "cat /sum /zeros /tree/* | md5sum; ls /w")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def renew(self, store: Path) -> None:
        subprocess.run(["rm", "-rf", str(store)], check=True)
        subprocess.run(["cp", "-a", str(self.sound), str(store)], check=True)

    def check(self, store: Path, said: str, expected: str) -> None:
        """The store is sound, and a build with room gives what it gives in any store."""
        with sqlite3.connect(store / "pybuild.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], said
        database.close()
        again = self.build(store)
        assert again.returncode == 0, f"{said}\nand then: {again.stderr}"
        assert "WARNING" not in again.stderr, f"{said}\nand then: {again.stderr}"
        assert self.result(store) == expected, said
        self.call(store, "rmi", "app")
        pruned = self.call(store, "prune", "--force")
        assert pruned.returncode == 0, pruned.stderr
        assert os.listdir(store / "runs") == [], said


@pytest.fixture(scope="module")
def sample(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("space"), bases / "base")


def check_clear(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert "Traceback" not in done.stderr, said
    assert "a mistake in pybuild" not in done.stderr, said
    assert done.returncode in (0, 1), said


@pytest.mark.timeout(900 + 20 * POINTS)
def test_full_at_any_moment(sample: Sample, small: Path) -> None:
    store = small / "store"
    sample.renew(store)
    before = free(small)
    assert sample.build(store).returncode == 0
    needed = before - free(small)
    expected = sample.result(store)
    failed = 0
    for point in range(POINTS):
        sample.renew(store)
        leave = (point * needed // POINTS) & ~4095
        ballast = fill(small, leave)
        done = sample.build(store)
        said = f"with {leave} of {needed} bytes: {done.returncode}\n{done.stderr}"
        check_clear(done, said)
        if done.returncode:
            failed += 1
            assert "space" in done.stderr, said
        sample.call(store, "images")
        ballast.unlink()
        sample.check(store, said, expected)
    assert failed > POINTS // 3
    print(f"{failed} of {POINTS} builds found no space, of {needed >> 12} pages that one needs")


def calls_of(log: Path) -> dict[str, list[str]]:
    """The calls of each thread, by its id."""
    found: dict[str, list[str]] = {}
    for line in log.read_text(errors="replace").splitlines():
        thread, _, call = line.partition(" ")
        if "(" in call and not call.lstrip().startswith(("<", "-", "+")):
            found.setdefault(thread, []).append(call.strip())
    return found


@pytest.mark.timeout(900 + 20 * WRITES)
def test_no_space_at_any_call(sample: Sample, tmp_path: Path) -> None:
    """The n-th call that writes or makes something fails in every thread, n from the first to the last."""
    store, log = tmp_path / "store", tmp_path / "log"
    trace = ("strace", "-f", "-qq", "-o", str(log), "-e", f"trace={CALLS}")
    sample.renew(store)
    done = sample.build(store, trace)
    assert done.returncode == 0, done.stderr
    expected = sample.result(store)
    most = max(len(calls) for calls in calls_of(log).values())
    chosen = sorted({1 + number * most // WRITES for number in range(WRITES)})
    failed, hit = 0, 0
    for number in chosen:
        sample.renew(store)
        done = sample.build(store, (*trace, "-e", f"inject={CALLS}:error=ENOSPC:when={number}"))
        injected = [call for calls in calls_of(log).values() for call in calls if call.endswith("(INJECTED)")]
        said = f"call {number}: {injected}: {done.returncode}\n{done.stderr}"
        check_clear(done, said)
        hit += len(injected)
        if done.returncode:
            failed += 1
            mute = any(call.startswith(("write(1,", "write(2,")) for call in injected)
            # Some are those of the command of a RUN, which says so itself, and SQLite does not tell of all what they were.
            words = ("space", "exit code", "the store's database cannot be")
            assert mute or ("error: " in done.stderr and any(word in done.stderr for word in words)), said
        sample.check(store, said, expected)
    assert failed
    print(f"{failed} of {len(chosen)} builds failed, {hit} calls in them; the longest thread has {most}")
