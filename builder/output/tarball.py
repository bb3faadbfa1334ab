"""`type=tar`: the root file system as one tar archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from builder.core.tar import TarWriter


def write_rootfs_tar(
    root_fd: int, out: BinaryIO, *, max_mtime: int = -1, check: Callable[[], None] | None = None
) -> int:
    """Write the files below a descriptor to a stream and say how many bytes that were.

    `max_mtime` (seconds, -1: none) clamps times. `root_fd` -1 stands for no files at all. `check` is called again and again, and
    ends it by raising an error.
    """
    if root_fd < 0:
        return out.write(bytes(1024))
    size = 0
    with TarWriter(root_fd, layer=False, max_mtime=max_mtime * 10**9 if max_mtime >= 0 else -1) as tar:
        while chunk := tar.read():
            out.write(chunk)
            size += len(chunk)
            if check is not None:
                check()
    return size
