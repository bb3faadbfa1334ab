"""Archives that ADD unpacks: told by their content, never by their name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from builder.core.files import make_directory, open_in_root
from builder.core.tar import Untar, is_tar
from builder.errors import ImageError
from builder.image.compression import CHUNK, compression_of, decompress


def is_archive(root_fd: int, path: str) -> bool:
    """Whether the file at a path of a tree is a tar archive, plain or compressed."""
    with _open(root_fd, path) as stream:
        start = stream.read(512)
        if compression_of(start) is None:
            return is_tar(start)
        stream.seek(0)
        plain = b""
        try:
            for chunk in decompress(_chunks(stream, 1 << 16)):
                plain += chunk
                if len(plain) >= 512:
                    break
        except ImageError:
            return False
        return is_tar(plain)


def unpack_archive(
    root_fd: int, path: str, dest_fd: int, destination: str, *, uid: int = -1, gid: int = -1
) -> None:
    """Unpack an archive of a tree below a directory of another root, made if missing.

    `uid` and `gid` replace the archive's owners unless -1.
    """
    where = destination.encode("utf-8", "surrogateescape")
    make_directory(dest_fd, where, 0o755, max(uid, 0), max(gid, 0))
    with (
        _open(root_fd, path) as stream,
        Untar(dest_fd, where, layer=False, uid=uid, gid=gid) as untar,
    ):
        for chunk in decompress(_chunks(stream, CHUNK), what=path):
            untar.feed(chunk)
        untar.finish()


def _open(root_fd: int, path: str) -> BinaryIO:
    return open(open_in_root(root_fd, os.fsencode(path), os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)


def _chunks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while chunk := stream.read(size):
        yield chunk
