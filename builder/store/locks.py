"""Locks between processes and threads: files that are locked while something is done or used."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from builder.errors import StoreError

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})


@contextmanager
def locked(store_fd: int, name: str) -> Iterator[None]:
    """Hold the lock `locks/NAME`; whoever else wants it waits. Lock files stay: removing one would split a lock in two."""
    fd = os.open(f"locks/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=store_fd)
    try:
        lock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def lock(fd: int, how: int) -> None:
    """`flock`, with words for file systems that have none."""
    try:
        fcntl.flock(fd, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise StoreError(
            f"the store's file system has no locks: {error.strerror}",
            hint="keep the store on a local disk: set PYBUILD_STORE or give --store",
        ) from None


def alone(fd: int) -> bool:
    """Lock a descriptor for this process alone; False if somebody uses it."""
    try:
        lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
