"""Locks between processes and threads: files that are locked while something is done."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def locked(store_fd: int, name: str) -> Iterator[None]:
    """Hold the lock `locks/NAME`; whoever else wants it waits. Lock files stay: removing one would split a lock in two."""
    fd = os.open(f"locks/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=store_fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
