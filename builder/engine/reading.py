"""Files and streams that a request names: read to their end or refused, never a part of them.

Where nothing comes from a pipe or a terminal, a build can be stopped all the same.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from builder.errors import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from typing import BinaryIO

_CHUNK = 1 << 20
_PATIENCE = 100  # milliseconds between two looks at whether to stop


def read_file(
    path: str,
    limit: int,
    *,
    dir_fd: int | None = None,
    pipes: bool = False,
    cancelled: threading.Event | None = None,
) -> bytes:
    """The content of a file of at most `limit` bytes; an `OSError` says why it cannot be read.

    With `pipes` it may be a pipe or a device too, which is read until it ends or the event is set; else such are refused,
    as they might never end.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=dir_fd)
    return read_opened(fd, limit, pipes=pipes, cancelled=cancelled)


def read_opened(
    fd: int, limit: int, *, pipes: bool = False, cancelled: threading.Event | None = None
) -> bytes:
    """As `read_file`, of a file that is open, which is closed."""
    try:
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, "it is a folder")
        regular = stat.S_ISREG(found.st_mode)
        if not regular and not pipes:
            raise OSError(errno.EINVAL, "it is no file, but a pipe or a device")
        size = min(found.st_size + 1, _CHUNK) if regular else _CHUNK
        text = bytearray()
        for chunk in _chunks(fd, size, waits=not regular, cancelled=cancelled):
            text += chunk
            if len(text) > limit:
                raise OSError(errno.EFBIG, f"it is larger than {limit >> 20} MiB")
        return bytes(text)
    finally:
        os.close(fd)


def chunks(stream: BinaryIO, cancelled: threading.Event | None) -> Iterator[bytes]:
    """What a stream gives, up to its end or until the event is set; nothing may have been read from it yet."""
    try:
        fd = stream.fileno()
    except (OSError, AttributeError):  # in memory
        return iter(lambda: stream.read(_CHUNK), b"")
    return _chunks(fd, _CHUNK, waits=True, cancelled=cancelled)


def _chunks(fd: int, size: int, *, waits: bool, cancelled: threading.Event | None) -> Iterator[bytes]:
    poller = None
    if waits:
        import select  # late: most files are regular

        poller = select.poll()
        poller.register(fd, select.POLLIN)
    while True:
        while poller is not None and not poller.poll(_PATIENCE):
            if cancelled is not None and cancelled.is_set():
                raise Cancelled("the build was stopped")
        chunk = os.read(fd, size)
        if not chunk:
            return
        yield chunk
