"""Room on the disk, as `du` counts it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from builder.core.usage import Usages
from builder.errors import CoreError


def make(root: Path) -> None:
    (root / "a" / "deep").mkdir(parents=True)
    (root / "a" / "deep" / "large").write_bytes(os.urandom(100_000))
    (root / "a" / "twice").write_bytes(os.urandom(20_000))
    os.link(root / "a" / "twice", root / "a" / "deep" / "again")
    (root / "a" / "link").symlink_to("/etc")
    os.mkfifo(root / "a" / "pipe")
    with (root / "a" / "sparse").open("wb") as stream:
        stream.truncate(1 << 30)


def by_du(*paths: Path) -> int:
    done = subprocess.run(
        ["du", "-s", "-c", "-B1", *map(str, paths)], capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1].split()[0])


def test_a_folder_takes_what_du_says(tmp_path: Path) -> None:
    make(tmp_path)
    fd = os.open(tmp_path, os.O_RDONLY)
    with Usages() as usages:
        usage = usages.add(fd, b"a")
    os.close(fd)
    assert usage.bytes == usage.fresh == usage.own == by_du(tmp_path / "a")
    assert usage.entries == 8
    assert usage.bytes < 1 << 29  # holes take nothing


def test_files_with_names_in_several_folders_count_once(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "b").mkdir()
    os.link(tmp_path / "a" / "deep" / "large", tmp_path / "b" / "large")
    (tmp_path / "b" / "own").write_bytes(os.urandom(30_000))
    fd = os.open(tmp_path, os.O_RDONLY)
    with Usages() as usages:
        first, second = usages.add(fd, b"a"), usages.add(fd, b"b")
    os.close(fd)
    large = (tmp_path / "b" / "large").stat().st_blocks * 512
    assert first.fresh == first.bytes
    assert first.own == first.bytes - large
    assert second.bytes == by_du(tmp_path / "b")
    assert second.fresh == second.own == second.bytes - large
    assert first.fresh + second.fresh == by_du(tmp_path / "a", tmp_path / "b")


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with Usages() as usages, pytest.raises(CoreError, match="No such file"):
        usages.add(fd, b"missing")
    os.close(fd)
