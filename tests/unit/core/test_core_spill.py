"""Large trees lie in a file without a name where one can be had, and are the same where none can."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_trees import SECRET

from builder.core.tree import Tree

FOLDERS, NAMES = 20, 1000  # some 2.4 MB of nodes, of which the first lie on the heap


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    file = root / "file"
    file.write_bytes(b"content")
    for folder in range(FOLDERS):
        (root / str(folder)).mkdir()
        for name in range(NAMES):
            os.link(file, root / str(folder) / str(name))
    return root


def look(root: Path, spare: Path | None) -> tuple[bytes, int, bool]:
    """Fingerprint, entries, and whether the tree lay in a file."""
    fd, spare_fd = os.open(root, os.O_RDONLY), -1 if spare is None else os.open(spare, os.O_RDONLY)
    try:
        with Tree(fd, secret=SECRET, spare_fd=spare_fd) as tree:
            fingerprint, entries = tree.fingerprint(0), tree.measure(0)[0]
            maps = Path("/proc/self/maps").read_text().splitlines()
            return fingerprint, entries, any("/#" in line and line.endswith("(deleted)") for line in maps)
    finally:
        os.close(fd)
        if spare_fd >= 0:
            os.close(spare_fd)


def test_a_file_without_a_name(root: Path, tmp_path: Path) -> None:
    fingerprint, entries, in_file = look(root, tmp_path)
    assert (entries, in_file) == (FOLDERS * (NAMES + 1) + 2, True)
    assert not list(tmp_path.iterdir())
    assert look(root, None) == (fingerprint, entries, False)
    assert look(root, Path("/proc")) == (fingerprint, entries, False)  # which takes no files


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Room for the first megabyte only."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("only root may mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_fills_up(root: Path, small_disk: Path) -> None:
    assert look(root, small_disk) == look(root, None)
    assert (
        os.statvfs(small_disk).f_bfree * os.statvfs(small_disk).f_frsize == 2 << 20
    )  # nothing was left there
