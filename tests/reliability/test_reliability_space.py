"""A file system that is full at any moment of a build: a clear error, a sound store, and the next build with room works.

PYBUILD_POINTS (5) says at how many amounts of free space a build is tried; they are spread over all that it writes.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

POINTS = int(os.environ.get("PYBUILD_POINTS", "5"))
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


@pytest.mark.timeout(60 + 20 * POINTS)
def test_full_at_any_moment(bases: Path, small: Path, tmp_path: Path) -> None:
    context, sound, store = tmp_path / "context", tmp_path / "sound", small / "store"
    (context / "tree").mkdir(parents=True)
    for number in range(210):
        (context / "tree" / str(number)).write_bytes(os.urandom(100 + number))
    (context / "Buildfile").write_text(FILE)

    def call(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
        env = dict(os.environ, PYBUILD_STORE=str(where))
        line = [sys.executable, "-m", "builder", *words]
        return subprocess.run(line, capture_output=True, text=True, env=env, timeout=120)

    def build(where: Path) -> subprocess.CompletedProcess[str]:
        flags = ["--progress", "plain", "-t", "app", "--build-context", f"base=oci-layout://{bases / 'base'}"]
        return call(where, "build", *flags, str(context))

    def result(where: Path) -> str:
        done = call(where, "run", "app", "sh", "-c", "cat /sum /zeros /tree/* | md5sum; ls /w")
        assert done.returncode == 0, done.stderr
        return done.stdout

    (context / "Buildfile").write_text("FROM base\nRUN true\n")
    assert build(sound).returncode == 0  # with the base
    (context / "Buildfile").write_text(FILE)
    subprocess.run(["cp", "-a", str(sound), str(store)], check=True)
    before = free(small)
    assert build(store).returncode == 0
    needed = before - free(small)
    expected = result(store)
    failed = 0
    for point in range(POINTS):
        subprocess.run(["rm", "-rf", str(store)], check=True)
        subprocess.run(["cp", "-a", str(sound), str(store)], check=True)
        leave = (point * needed // POINTS) & ~4095
        ballast = fill(small, leave)
        done = build(store)
        said = f"with {leave} of {needed} bytes: {done.returncode}\n{done.stderr}"
        assert "Traceback" not in done.stderr, said
        assert "a mistake in pybuild" not in done.stderr, said
        if done.returncode:
            failed += 1
            assert done.returncode == 1, said
            assert "space" in done.stderr, said
        call(store, "images")
        ballast.unlink()
        with sqlite3.connect(store / "pybuild.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()
        again = build(store)
        assert again.returncode == 0, f"{said}\nand then: {again.stderr}"
        assert result(store) == expected, said
        call(store, "rmi", "app")
        pruned = call(store, "prune", "--force")
        assert pruned.returncode == 0, pruned.stderr
        assert os.listdir(store / "runs") == [], said
    assert failed > POINTS // 3
    print(f"{failed} of {POINTS} builds found no space")
