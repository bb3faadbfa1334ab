"""Holds: locks on the very files that a process uses, so that nobody removes them; they end with the process.

Whoever uses a snapshot or a blob has a shared lock (flock) on it; whoever removes it has the only one. A state keeps the
states below it, so that a chain needs one lock: that of its top.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading

from builder.errors import StoreError
from builder.store.locks import alone, lock

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_STORE = "locks/store"
# What says nothing of whether a file is there.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})


class Holds:
    """What an open store holds on to; threads may share it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._states: dict[bytes, int] = {}
        self._files: dict[str, int] = {}
        self._store = -1

    def store(self) -> None:
        """Tell that this process may be making files that no row of the database names yet.

        Waits while somebody removes such files. A store that cannot be written to needs no such word.
        """
        try:
            self._store = os.open(_STORE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self._fd)
        except OSError:
            return
        lock(self._store, fcntl.LOCK_SH)

    def leave(self) -> None:
        """This process makes no more files: what it waits for now may take long."""
        if self._store >= 0:
            os.close(self._store)
            self._store = -1

    def alone(self) -> bool:
        """Whether no other process has the store open; none opens it until `store` is called again."""
        return self._store >= 0 and alone(self._store)

    def together(self) -> None:
        """Let others open the store again."""
        lock(self._store, fcntl.LOCK_SH)

    def state(self, state: bytes, snapshot: str) -> bool:
        """Hold a state; False if its files are not there, or have just been removed."""
        with self._lock:
            if state in self._states:
                return True
            fd = _open(self._fd, f"snapshots/{snapshot}", _FOLDER)
            if fd < 0:
                return False
            lock(fd, fcntl.LOCK_SH)
            if not exists(self._fd, f"snapshots/{snapshot}/fs"):
                os.close(fd)
                return False
            self._states[state] = fd
            return True

    def drop(self, state: bytes) -> None:
        """End the hold of a state, which a state on top of it keeps from now on."""
        with self._lock:
            fd = self._states.pop(state, -1)
            if fd >= 0:
                os.close(fd)

    def file(self, path: str) -> bool:
        """Hold a file, such as a blob; False if it is not there."""
        with self._lock:
            while path not in self._files:
                fd = _open(self._fd, path, _FILE)
                if fd < 0:
                    return False
                lock(fd, fcntl.LOCK_SH)  # whoever removes it is done in a moment
                if os.fstat(fd).st_nlink:
                    self._files[path] = fd
                else:
                    os.close(fd)
            return True

    def let_go(self, path: str) -> None:
        """End the hold of a file, if there is one."""
        with self._lock:
            fd = self._files.pop(path, -1)
            if fd >= 0:
                os.close(fd)

    def close(self) -> None:
        """End all holds."""
        with self._lock:
            for fd in (*self._states.values(), *self._files.values()):
                os.close(fd)
            self._states.clear()
            self._files.clear()
        self.leave()


def take(dir_fd: int, path: str, *, folder: bool = False) -> int | None:
    """A descriptor of something, locked for this process alone; -1 if it is not there, None if somebody uses it."""
    fd = _open(dir_fd, path, _FOLDER if folder else _FILE)
    if fd >= 0 and not alone(fd):
        os.close(fd)
        return None
    return fd


def exists(dir_fd: int, path: str) -> bool:
    """Whether something is at a path."""
    try:
        os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return False
    return True


def _open(dir_fd: int, path: str, flags: int) -> int:
    """A descriptor, -1 for what is not there or not what it should be."""
    try:
        return os.open(path, flags, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in _PASSING:
            raise StoreError(f"{path} in the store cannot be opened: {error.strerror}") from error
        return -1
