"""Caches in folders."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from builder.cache.folder import FolderPlace
from builder.errors import ImageError
from builder.image.manifest import describe


class BrokenOff(io.RawIOBase):
    """A stream that somebody stops after its first bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        if not self._data:
            raise ImageError("it is not wanted any more")
        view = memoryview(buffer)  # type: ignore[arg-type]
        size = min(len(view), len(self._data))
        view[:size] = self._data[:size]
        self._data = self._data[size:]
        return size


def test_what_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    place = FolderPlace(str(tmp_path / "cache"), "latest")
    blob = describe(b"x" * 100_000, "application/octet-stream")
    with pytest.raises(ImageError, match="not wanted"):
        place.put(blob, lambda: io.BufferedReader(BrokenOff(b"x" * 50_000)))
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == []
    place.put(blob, lambda: io.BytesIO(b"x" * 100_000))
    assert place.has(blob.digest)
