"""Runs: private places of steps that are going on, gone when the step or its process is."""

from __future__ import annotations

import fcntl
import os
import sys
from types import TracebackType

from builder.core.files import remove_tree
from builder.errors import CoreError
from builder.store.locks import lock
from builder.value import dataclass

# linux/fs.h, as most machines have them; the others refuse them.
_GET_FLAGS, _SET_FLAGS, _TOP_OF_HIERARCHIES = 0x80086601, 0x40086602, 0x20000


@dataclass(slots=True)
class Run:
    """The folders of one step, relative to the store: `upper` takes its changes, `work` is the overlay's own.

    `scratch` is an absolute path for anything else. A lock on the folder tells that its process lives.
    """

    name: str
    store_fd: int
    scratch: str
    lock: int

    @property
    def upper(self) -> str:
        """Where the step's changes go."""
        return f"runs/{self.name}/upper"

    @property
    def work(self) -> str:
        """What the overlay needs beside it."""
        return f"runs/{self.name}/work"

    @property
    def facts(self) -> str:
        """A file for what is known of the files in `upper`; it goes where they go."""
        return f"runs/{self.name}/facts"

    def spread(self) -> None:
        """Many files are about to be made in `upper`, which is empty: let ext4 give it a place of its own on the disk
        (`chattr +T`), as it does for the homes of users. Else it lies where the last ones did, and where many files have just
        been removed new ones are made ten times more slowly for some minutes. Other file systems know nothing of it.
        """
        flags = bytearray(8)
        try:
            fcntl.ioctl(self.lock, _GET_FLAGS, flags)
            wanted = int.from_bytes(flags[:4], sys.byteorder) | _TOP_OF_HIERARCHIES
            fcntl.ioctl(self.lock, _SET_FLAGS, wanted.to_bytes(4, sys.byteorder) + bytes(4))
        except OSError:
            return
        os.rmdir("upper", dir_fd=self.lock)
        _make_folder(self.lock, "upper")

    def leave(self) -> None:
        """Let another process have it, which has its lock open: it goes when that ends."""
        os.close(self.lock)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._remove()
        except KeyboardInterrupt:  # it came while this was going on: what is left goes, too
            self._remove()
            raise
        finally:
            os.close(self.lock)

    def _remove(self) -> None:
        runs = os.open("runs", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.store_fd)
        try:
            remove_tree(runs, self.name.encode())
        finally:
            os.close(runs)


def new_run(store_fd: int, store_path: str) -> Run:
    """Make the folders of a run, locked from the first moment on."""
    name, fd = _new_folder(store_fd)
    for part in ("upper", "work", "scratch"):
        _make_folder(fd, part)
    return Run(name, store_fd, os.path.join(store_path, "runs", name, "scratch"), fd)


def _make_folder(fd: int, name: str) -> None:
    os.mkdir(name, 0o755, dir_fd=fd)
    os.chmod(name, 0o755, dir_fd=fd)


def _new_folder(store_fd: int) -> tuple[str, int]:
    while True:
        name = os.urandom(8).hex()
        os.mkdir(f"runs/{name}", 0o700, dir_fd=store_fd)
        try:
            fd = os.open(f"runs/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store_fd)
        except FileNotFoundError:  # swept before it was locked
            continue
        lock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return name, fd
        os.close(fd)


def sweep(store_fd: int) -> int:
    """Remove what killed builds left behind; how many runs that were."""
    runs = os.open("runs", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store_fd)
    swept = 0
    try:
        for name in os.listdir(runs):
            try:
                # Folders of steps, and files that were to become blobs.
                fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=runs)
            except OSError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(runs, os.fsencode(name))
                swept += 1
            except (OSError, CoreError):
                # Somebody works there, or its files belong to subordinate ids: a build, which has them, removes it.
                pass
            finally:
                os.close(fd)
    finally:
        os.close(runs)
    return swept
