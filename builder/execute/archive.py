"""Archives that ADD unpacks: told by their content, never by their name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from builder.core.files import make_directory, open_in_root
from builder.core.tar import Untar, is_tar
from builder.errors import ImageError
from builder.image.compression import CHUNK, decompress, decompress_bounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


def is_archive(root_fd: int, path: str) -> bool:
    """Whether the file at a path of a tree is a tar archive, plain or compressed."""
    with _open(root_fd, path) as stream:
        return starts_archive(_chunks(stream, 1 << 16))


def starts_archive(chunks: Iterable[bytes]) -> bool:
    """Whether a stream is a tar archive, plain or compressed; reads no more of it than that takes."""
    plain = b""
    try:
        for chunk in decompress(chunks):
            plain += chunk
            if len(plain) >= 512:
                break
    except ImageError:
        return False
    return len(plain) >= 512 and is_tar(plain)


def unpack_archive(
    root_fd: int, path: str, dest_fd: int, destination: str, *, uid: int = -1, gid: int = -1
) -> None:
    """Unpack an archive of a tree below a directory of another root, made if missing.

    `uid` and `gid` replace the archive's owners unless -1.
    """
    with _open(root_fd, path) as stream:
        unpack_stream(_chunks(stream, CHUNK), dest_fd, destination, uid=uid, gid=gid, what=path)


def unpack_stream(
    chunks: Iterable[bytes],
    dest_fd: int,
    destination: str,
    *,
    uid: int = -1,
    gid: int = -1,
    what: str = "the archive",
) -> None:
    """Unpack a tar stream, plain or compressed, below a directory of a root, made if missing."""
    where = destination.encode("utf-8", "surrogateescape")
    make_directory(dest_fd, where, 0o755, max(uid, 0), max(gid, 0))
    with Untar(dest_fd, where, layer=False, uid=uid, gid=gid) as untar:
        for chunk in decompress_bounded(chunks, what=what):
            untar.feed(chunk)
        untar.finish()


def _open(root_fd: int, path: str) -> BinaryIO:
    return open(open_in_root(root_fd, os.fsencode(path), os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)


def _chunks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while chunk := stream.read(size):
        yield chunk
