"""What differs between two folders of changes, times that are bounded, and names of one file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.core.changes import changes_diff, clamp_times
from builder.core.tree import Tree
from builder.errors import CoreError

SECRET = bytes(range(192))
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="devices and trusted attributes need root")


@contextmanager
def opened(*paths: Path) -> Iterator[list[int]]:
    fds = [os.open(path, os.O_RDONLY) for path in paths]
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal folders."""
    first = tmp_path / "first"
    (first / "d/e").mkdir(parents=True)
    (first / "d/file").write_text("text")
    (first / "d/e/other").write_text("text")
    (first / "link").symlink_to("target")
    os.link(first / "d/file", first / "d/same")
    second = tmp_path / "second"
    shutil.copytree(first, second, symlinks=True)
    (second / "d/same").unlink()
    os.link(second / "d/file", second / "d/same")
    return first, second


def diff(pair: tuple[Path, Path], **options: int) -> list[tuple[str, str, str]]:
    with opened(*pair) as fds:
        found, total = changes_diff(fds[0], fds[1], SECRET, **options)
    assert total >= len(found)
    return [(change.kind, change.path, change.detail) for change in found]


def test_equal_folders(pair: tuple[Path, Path]) -> None:
    os.utime(pair[1] / "d/file", (5, 5))
    assert diff(pair) == []


def test_times_to_a_bound(pair: tuple[Path, Path]) -> None:
    for folder in pair:
        for path in [*folder.rglob("*")]:
            os.utime(path, (100, 100), follow_symlinks=False)
    os.utime(pair[0] / "d/e/other", (50, 50))
    os.utime(pair[1] / "d/e/other", (60, 60.5))
    assert diff(pair, newest=10**12) == [("time", "d/e/other", "50 → 60")]
    assert diff(pair, newest=40 * 10**9) == []
    assert diff(pair, newest=0) == []


def test_names_of_one_file(pair: tuple[Path, Path]) -> None:
    (pair[1] / "d/same").unlink()
    (pair[1] / "d/same").write_text("text")
    assert diff(pair) == [("link", "d/same", "")]


@root_only
def test_marks_of_overlays(pair: tuple[Path, Path]) -> None:
    os.mknod(pair[0] / "gone", 0o020000, 0)
    (pair[1] / "gone").write_text("")
    os.mknod(pair[1] / "d/gone too", 0o020000, 0)
    os.setxattr(pair[0] / "d/e", "trusted.overlay.opaque", b"y")
    assert diff(pair, newest=0) == [
        ("type", "gone", "removal → file"),
        ("opaque", "d/e", ""),
        ("added", "d/gone too", "removal"),
    ]


def test_at_most_so_many(pair: tuple[Path, Path]) -> None:
    for number in range(30):
        (pair[0] / f"more{number}").write_text("")
    with opened(*pair) as fds:
        found, total = changes_diff(fds[0], fds[1], SECRET, limit=7)
    assert (len(found), total) == (7, 30)


@root_only
def test_clamped_times(pair: tuple[Path, Path]) -> None:
    folder = pair[0]
    os.mknod(folder / "gone", 0o020000, 0)
    os.mkfifo(folder / "pipe")
    os.utime(folder / "d/e/other", (50, 50))
    before = os.lstat(folder / "gone").st_mtime_ns
    with opened(folder) as (fd,):
        clamp_times(fd, 100 * 10**9)
        with pytest.raises(CoreError):
            clamp_times(fd, -1)
    times = {str(path.relative_to(folder)): os.lstat(path).st_mtime_ns for path in folder.rglob("*")}
    assert times.pop("gone") == before
    assert times.pop("d/e/other") == 50 * 10**9
    assert set(times.values()) == {100 * 10**9} and os.stat(folder).st_mtime_ns == 100 * 10**9


def test_links_of_a_selection(pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = pair[0]
    os.link(folder / "d/file", folder / "d/e/third")
    os.link(folder / "d/e/other", tmp_path / "outside")
    with opened(folder) as (fd,), Tree(fd) as tree:
        tree.fingerprint(0)
        assert tree.links(0) == b"d/same\0d/file\0d/e/third\0d/file\0"
        assert tree.links(tree.find(b"d")) == b"same\0file\0e/third\0file\0"
        assert tree.links(tree.find(b"d/e")) == b""  # the others are not among them
