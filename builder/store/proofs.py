"""Proofs: which blobs have been read, or written, and found to be what their names say; known by their stat data since."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable

from builder.digest import Digest
from builder.store.blobs import Blobs, stat_data
from builder.store.database import Database
from builder.store.meter import Meter
from builder.store.outputs import is_past
from builder.store.pieces import Pieces

_CHUNK = 1 << 20


def _silent(message: str) -> None:
    pass


class Proofs:
    """What is proven of a store's blobs; threads may share it. `warn` is told of each that is damaged.

    What is written is proven in the machine's boot only, until it has been brought to the disk.
    """

    def __init__(self, database: Database, fd: int, blobs: Blobs, meter: Meter, boot: str) -> None:
        self._database, self._fd, self._blobs, self._meter, self._boot = database, fd, blobs, meter, boot
        self._known: dict[Digest, str] = {}
        # Held while a blob is read and dropped: one that was made anew meanwhile is not the one that was read.
        self._reading = threading.Lock()
        self.warn: Callable[[str], None] = _silent

    def sound(self, digest: Digest) -> bool:
        """Whether a blob is there and what its name says; one that is not is dropped."""
        return digest not in self.drop_damaged((digest,)) and self._blobs.has(digest)

    def drop_damaged(self, digests: Iterable[Digest]) -> list[Digest]:
        """Those of the blobs that are there but not what their names say: they are dropped.

        A blob is read only if its stat data are not those that were proven: its inode, size and times.
        """
        wanted = [digest for digest in dict.fromkeys(digests) if digest.algorithm == "sha256"]
        kept: dict[str, str] = {}
        unknown = [
            str(digest) for digest in wanted if digest not in self._known and digest not in self._blobs.fresh
        ]
        if unknown:
            marks = ",".join("?" * len(unknown))
            rows = self._database.all(
                f"SELECT digest, stat FROM blob_stats WHERE digest IN ({marks})", unknown
            )
            kept = {str(name): str(seen) for name, seen in rows}
        damaged = []
        for digest in wanted:
            try:
                seen = stat_data(os.stat(Blobs.path(digest), dir_fd=self._fd, follow_symlinks=False))
            except OSError:
                continue  # missing, which others see
            known = self._blobs.fresh.get(digest) or self._known.get(digest) or kept.get(str(digest), "")
            if known in (seen, f"{seen} {self._boot}"):
                continue
            with self._reading:
                if not self._read(digest):
                    damaged.append(digest)
        return damaged

    def _read(self, digest: Digest) -> bool:
        """Read a blob and compare; a damaged one is dropped. True for one that is missing now, which others see."""
        import hashlib

        after = ""
        try:
            fd = os.open(Blobs.path(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._fd)
            with open(fd, "rb") as stream:
                before = os.fstat(stream.fileno())
                after = stat_data(before)
                hashed = hashlib.sha256()
                while chunk := stream.read(_CHUNK):
                    hashed.update(chunk)
                found = hashed.hexdigest()
                after = stat_data(os.fstat(stream.fileno()))
        except FileNotFoundError:
            return True  # what has its name by now was made anew, and is not what was damaged
        except OSError as error:
            found, why = "", f"it cannot be read: {error.strerror}"
        else:
            why = "its bytes were changed"
            self._meter.count(read=before.st_size, hashed=before.st_size)
        if found == digest.hex:
            if stat_data(before) == after:
                self._known[digest] = after
            return True
        if not self._database.reading:
            self.drop(digest, after)
        self.warn(f"the blob {digest.short} in the store is damaged ({why}): it is not used")
        return False

    def drop(self, digest: Digest, seen: str = "") -> None:
        """Drop a damaged blob, with all that is known of its bytes; `seen` are the stat data of the file that was read."""
        self._blobs.drop(digest, seen)
        self._known.pop(digest, None)
        Pieces(self._database).forget(digest)
        self._database.run("DELETE FROM blob_stats WHERE digest = ?", (str(digest),))

    def keep(self, *, durable: bool) -> None:
        """Remember what was proven of layers by now; `durable` tells that it is on the disk.

        Waits for the clock's next tick, a few milliseconds, so that any later change gets another time.
        """
        proven = {**self._known, **self._blobs.fresh}
        if not proven or self._database.reading:
            return
        mark = "" if durable else f" {self._boot}"
        rows = [
            (str(digest), f"{seen}{mark}", str(digest))
            for digest, seen in proven.items()
            if is_past(int(seen.split()[-1]))
        ]
        with self._database.transaction():
            self._database.many(
                "INSERT OR REPLACE INTO blob_stats (digest, stat) "
                "SELECT ?, ? WHERE EXISTS (SELECT 1 FROM layers WHERE digest = ?)",
                rows,
            )
        self._known.clear()
        self._blobs.fresh.clear()
