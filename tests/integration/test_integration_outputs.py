"""An output that is there already is not written again, unless anything about it changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import Run


@pytest.fixture
def archive(pybuild: Run, context: Path, tmp_path: Path) -> Path:
    (context / "f").write_text("x")
    (context / "Buildfile").write_text("FROM scratch\nCOPY f /\n")
    return tmp_path / "image.tar"


def build(pybuild: Run, context: Path, archive: Path, *flags: str) -> int:
    """Build, and say which file the archive is by then."""
    pybuild("build", *flags, "-o", f"type=oci,dest={archive}", context)
    return archive.stat().st_ino


def test_the_same_result_is_not_written_again(pybuild: Run, context: Path, archive: Path) -> None:
    first = build(pybuild, context, archive)
    assert build(pybuild, context, archive) == first
    assert build(pybuild, context, archive, "-t", "name") != first
    (context / "f").write_text("y")
    data = archive.read_bytes()
    build(pybuild, context, archive)
    assert archive.read_bytes() != data


@pytest.mark.parametrize("change", ["bytes", "bytes, time set back", "mode", "removed", "replaced"])
def test_a_file_that_changed_is_written_again(
    pybuild: Run, context: Path, archive: Path, change: str
) -> None:
    build(pybuild, context, archive)
    data, before = archive.read_bytes(), archive.stat()
    if change.startswith("bytes"):
        with archive.open("r+b") as stream:
            stream.seek(600)
            stream.write(b"!")
        if change != "bytes":
            os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "mode":
        archive.chmod(0o600)
    elif change == "replaced":
        shutil.copy2(archive, f"{archive}.copy")
        os.replace(f"{archive}.copy", archive)
    else:
        archive.unlink()
    build(pybuild, context, archive)
    assert archive.read_bytes() == data
    assert archive.stat().st_ctime_ns != before.st_ctime_ns
