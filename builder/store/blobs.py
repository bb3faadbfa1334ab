"""Blobs: bytes by their digest, `blobs/sha256/…`, as in any OCI image layout."""

from __future__ import annotations

import fcntl
import os
from types import TracebackType

from builder.digest import Digest, digest_of
from builder.errors import ImageError, StoreError
from builder.store.holds import Holds
from builder.store.locks import lock
from builder.store.meter import Meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


class BlobWriter:
    """Takes bytes, and makes them a blob only when `commit` is called; else nothing of them stays."""

    def __init__(self, fd: int, meter: Meter, fresh: dict[Digest, str]) -> None:
        """`fresh` gets the stat data of the blob when it is one."""
        import hashlib

        self._fd = fd
        self._fresh = fresh
        self._meter = meter
        self._name, opened = _new_file(fd)
        self._stream = open(opened, "wb", buffering=0)
        self._hash = hashlib.sha256()
        self._done = False
        self.size = 0

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if not self._done:
            os.unlink(self._name, dir_fd=self._fd)

    def write(self, data: bytes | memoryview) -> None:
        """More bytes."""
        left = memoryview(data)
        try:
            while left:
                left = left[self._stream.write(left) :]
        except OSError as error:
            raise StoreError(
                f"cannot write to the store: {error.strerror}", hint="free some space where the store is"
            ) from error
        self._hash.update(data)
        self.size += len(data)

    @property
    def digest(self) -> Digest:
        """The digest of what was written by now."""
        return Digest("sha256", self._hash.hexdigest())

    def commit(self, expected: Digest | None = None) -> Digest:
        """Make it a blob; an `ImageError` if its digest is not the expected one."""
        digest = self.digest
        if expected is not None and expected.algorithm == "sha256" and digest != expected:
            raise ImageError(f"a blob should have the digest {expected}, but has {digest}")
        os.rename(self._name, f"blobs/sha256/{digest.hex}", src_dir_fd=self._fd, dst_dir_fd=self._fd)
        self._done = True
        self._fresh[digest] = stat_data(os.fstat(self._stream.fileno()))
        self._meter.count(hashed=self.size, written=self.size)
        return digest


def _new_file(fd: int) -> tuple[str, int]:
    """A file beside the runs, locked as those are: when its process is killed, the next build removes it."""
    while True:
        name = f"runs/{os.urandom(8).hex()}"
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=fd)
        lock(opened, fcntl.LOCK_EX)
        if os.fstat(opened).st_nlink:  # else it was swept before it was locked
            return name, opened
        os.close(opened)


def stat_data(seen: os.stat_result) -> str:
    """What changes with a file's bytes: inode, size and times."""
    return f"{seen.st_ino} {seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns}"


class Blobs:
    """All blobs of a store. `fresh` are the stat data of those that this process wrote, see `Proofs`."""

    def __init__(self, fd: int, meter: Meter, holds: Holds) -> None:
        self._fd = fd
        self._meter = meter
        self._holds = holds
        self.fresh: dict[Digest, str] = {}

    @staticmethod
    def path(digest: Digest) -> str:
        """Where a blob is, relative to the store."""
        if digest.algorithm != "sha256":
            raise ImageError(f"blobs are kept by SHA-256 only, not by {digest.algorithm}")
        return f"blobs/sha256/{digest.hex}"

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        try:
            os.stat(self.path(digest), dir_fd=self._fd)
        except OSError:
            return False
        return True

    def size(self, digest: Digest) -> int:
        """How many bytes a blob has."""
        with self.open(digest) as stream:
            return os.fstat(stream.fileno()).st_size

    def open(self, digest: Digest) -> BinaryIO:
        """A stream of a blob's bytes, which are not verified."""
        try:
            fd = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._fd)
        except OSError as error:
            raise ImageError(f"the store has no blob {digest}: {error.strerror}") from None
        return open(fd, "rb")

    def read(self, digest: Digest, limit: int = 16 << 20) -> bytes:
        """The bytes of a small blob, verified."""
        with self.open(digest) as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise ImageError(f"the blob {digest} is larger than {limit} bytes")
        if digest_of(data) != digest:
            raise ImageError(
                f"the blob {digest} in the store is damaged",
                hint="remove the image and pull or build it again",
            )
        return data

    def put(self, data: bytes) -> Digest:
        """Keep some bytes, which nobody removes while this store is open."""
        digest = digest_of(data)
        while not self._keeps(digest, data):
            with self.writer() as writer:
                writer.write(data)
                if not self._keeps(digest, data):  # another process may have been first
                    writer.commit()
            self.fresh.pop(digest, None)  # documents are verified each time they are read
        return digest

    def _keeps(self, digest: Digest, data: bytes) -> bool:
        """Whether a blob with these bytes is there, and stays; a damaged one is let go."""
        if not self.hold(digest):
            return False
        if self._is(digest, data):
            return True
        self._holds.let_go(self.path(digest))
        return False

    def _is(self, digest: Digest, data: bytes) -> bool:
        with self.open(digest) as stream:
            return stream.read(len(data) + 1) == data

    def hold(self, digest: Digest) -> bool:
        """Whether a blob is there; if it is, nobody removes it while this store is open."""
        return self._holds.file(self.path(digest))

    def writer(self) -> BlobWriter:
        """A blob to be."""
        return BlobWriter(self._fd, self._meter, self.fresh)

    def drop(self, digest: Digest, seen: str = "") -> None:
        """Remove a damaged blob; with stat data (`seen`) only that very file, as another process may have made it anew."""
        path = self.path(digest)
        self._holds.let_go(path)
        self.fresh.pop(digest, None)
        try:
            if seen and stat_data(os.stat(path, dir_fd=self._fd, follow_symlinks=False)) != seen:
                return
            os.unlink(path, dir_fd=self._fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StoreError(f"cannot remove the damaged blob {digest}: {error.strerror}") from error
