"""Where an output's bytes go: a file that appears only when it is whole, or a stream."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from builder.errors import BuilderError, CoreError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

# As the kernel has it (path_resolution(7)).
_MOST_LINKS = 40


@contextmanager
def open_destination(dest: str, stdout: BinaryIO | None) -> Iterator[BinaryIO]:
    """A stream to write an output to.

    `-` is `stdout`. A file is written beside its final name and renamed when the block ends well, so that a failed or
    killed build leaves an earlier file as it was.
    """
    if dest == "-":
        if stdout is None:
            raise UsageError("there is no standard output to write to")
        yield stdout
        stdout.flush()
        return
    is_special = os.path.lexists(dest) and not os.path.isfile(dest) and not os.path.isdir(dest)
    if is_special or _leads_to_an_open_file(dest):
        # A device, a pipe (a process substitution) or `/dev/stdout` is written to, never replaced.
        try:
            with open(dest, "wb", buffering=1 << 20) as stream:
                yield stream
        except OSError as error:
            raise BuilderError(f'cannot write "{dest}": {error.strerror}') from error
        return
    temporary = f"{dest}.{os.getpid()}.tmp"
    try:
        stream = open(temporary, "xb", buffering=1 << 20)
    except OSError as error:
        raise BuilderError(f'cannot write "{dest}": {error.strerror}') from None
    try:
        with stream:
            yield stream
        _put_in_place(temporary, dest)
    except OSError as error:
        _discard(temporary)
        raise BuilderError(f'cannot write "{dest}": {error.strerror}') from error
    except BaseException:
        _discard(temporary)
        raise


def _leads_to_an_open_file(path: str) -> bool:
    """Whether a link leads to what a process has open, as `/dev/stdout` does."""
    for _ in range(_MOST_LINKS):
        if not os.path.islink(path):
            break
        folder = os.path.realpath(os.path.dirname(path))
        if folder.startswith("/proc/") and os.path.basename(folder) == "fd":
            return True
        path = os.path.join(folder, os.readlink(path))
    return False


def _put_in_place(temporary: str, dest: str) -> None:
    """Give a file its name, in one go, whatever had it before.

    A rename over a file makes ext4 write the new one to the disk first, and the build waits; two files that change names do not.
    """
    from builder.core.files import exchange

    try:
        if not stat.S_ISREG(os.lstat(dest).st_mode):
            raise FileNotFoundError
        exchange(temporary, dest)
    except (FileNotFoundError, CoreError):
        os.replace(temporary, dest)
    else:
        os.unlink(temporary)


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
