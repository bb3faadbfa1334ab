"""Locks between processes and threads: files that are locked while something is done or used."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from builder.errors import StoreError

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})


_LONGEST_WAIT = 0.05


@contextmanager
def locked(store_fd: int, name: str, check: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock `locks/NAME`; whoever else wants it waits. Lock files stay: removing one would split a lock in two.

    `check` is called while it waits, and raises what is to end that.
    """
    fd = os.open(f"locks/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=store_fd)
    try:
        lock(fd, fcntl.LOCK_EX, check)
        yield
    finally:
        os.close(fd)


def lock(fd: int, how: int, check: Callable[[], None] | None = None) -> None:
    """`flock`, with words for file systems that have none. With `check` it may take long: see `locked`."""
    try:
        if check is None:
            fcntl.flock(fd, how)
        else:
            _wait(fd, how, check)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise StoreError(
            f"the store's file system has no locks: {error.strerror}",
            hint="keep the store on a local disk: set PYBUILD_STORE or give --store",
        ) from None


def _wait(fd: int, how: int, check: Callable[[], None]) -> None:
    pause = 0.001
    while True:
        try:
            return fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            check()
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_WAIT)


def alone(fd: int) -> bool:
    """Lock a descriptor for this process alone; False if somebody uses it."""
    try:
        lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
