"""Files and folders right in the store: their names and sizes, when they were written to, and whether somebody uses them.

Nothing is changed by looking. Paths are relative to the store's folder `fd`.
"""

from __future__ import annotations

import os
import stat

from builder.core.usage import Usages
from builder.errors import CoreError
from builder.store.holds import take

_BLOCK = 512


def folder_size(fd: int, name: str) -> int:
    """Allocated bytes of a file or folder of the store, 0 if it is not there."""
    try:
        with Usages() as usages:
            return usages.add(fd, name.encode("utf-8", "surrogateescape")).bytes
    except CoreError:
        return 0


def names(fd: int, folder: str) -> list[str]:
    """The names in a folder of the store, in order; none if it is not there."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return []
    try:
        return sorted(os.listdir(opened))
    finally:
        os.close(opened)


def files(fd: int, folder: str) -> dict[str, int]:
    """Allocated bytes of the files right in a folder."""
    found = {}
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return {}
    try:
        for name in os.listdir(opened):
            try:
                seen = os.stat(name, dir_fd=opened, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(seen.st_mode):
                found[name] = seen.st_blocks * _BLOCK
    finally:
        os.close(opened)
    return found


def time_of(fd: int, path: str) -> float:
    """When a file or folder was last written to, in seconds since 1970; 0 if it is not there."""
    return time_ns(fd, path) / 1e9


def time_ns(fd: int, path: str) -> int:
    """The same in nanoseconds."""
    try:
        return os.stat(path, dir_fd=fd, follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0


def in_use(fd: int, path: str, *, folder: bool = False) -> bool:
    """Whether somebody holds a file or folder now."""
    taken = take(fd, path, folder=folder)
    if taken is None:
        return True
    if taken >= 0:
        os.close(taken)
    return False
