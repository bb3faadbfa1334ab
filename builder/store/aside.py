"""A store that is only looked at, by somebody who learns of more than it has: that is kept in memory, and is gone at the end."""

from __future__ import annotations

import io
import os
from tempfile import TemporaryDirectory

from builder.digest import Digest, digest_of
from builder.errors import NotFetched, StoreError
from builder.store.blobs import Blobs, BlobWriter
from builder.store.database import Database
from builder.store.holds import Holds
from builder.store.meter import Meter
from builder.store.runs import Run, new_run
from builder.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


class AsideStore(Store):
    """A store whose database is a copy in memory, to which documents are added in memory; none of its files changes."""

    def __init__(
        self, path: str, fd: int, secret: bytes, database: Database, holds: Holds, *, userxattr: bool
    ) -> None:
        super().__init__(path, fd, secret, database, holds, userxattr=userxattr)
        self._place: TemporaryDirectory[str] | None = None
        self._place_fd = -1

    def _open_blobs(self) -> Blobs:
        return _AsideBlobs(self.fd, self.meter, self.holds)

    def lowers(self, state: bytes) -> list[str]:
        """The snapshots of a state; `NotFetched` if one would have to be made first."""
        if any(not part.snapshot for part in self.chain(state)):
            raise NotFetched("only a build fetches the files that this step takes from elsewhere")
        return super().lowers(state)

    def new_run(self) -> Run:
        """A private place outside the store."""
        if self._place is None:
            self._place = TemporaryDirectory(prefix="pybuild-plan-")
            os.mkdir(os.path.join(self._place.name, "runs"))
            self._place_fd = os.open(self._place.name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return new_run(self._place_fd, self._place.name)

    def close(self) -> None:
        """Let go of the store, and of all that was added to it."""
        super().close()
        if self._place is not None:
            os.close(self._place_fd)
            self._place.cleanup()
            self._place = None


class _AsideBlobs(Blobs):
    """The blobs of a store, and documents beside them."""

    def __init__(self, fd: int, meter: Meter, holds: Holds) -> None:
        super().__init__(fd, meter, holds)
        self._documents: dict[Digest, bytes] = {}

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        return digest in self._documents or super().has(digest)

    def hold(self, digest: Digest) -> bool:
        """Whether a blob is there, and stays."""
        return digest in self._documents or super().hold(digest)

    def size(self, digest: Digest) -> int:
        """How many bytes a blob has."""
        found = self._documents.get(digest)
        return super().size(digest) if found is None else len(found)

    def open(self, digest: Digest) -> BinaryIO:
        """A stream of a blob's bytes."""
        found = self._documents.get(digest)
        return super().open(digest) if found is None else io.BytesIO(found)

    def put(self, data: bytes) -> Digest:
        """Keep some bytes in memory."""
        digest = digest_of(data)
        self._documents[digest] = data
        return digest

    def writer(self) -> BlobWriter:
        """Refuse: whoever only looks at a store brings no layer into it."""
        raise StoreError("the store is only looked at")

    def drop(self, digest: Digest, seen: str = "") -> None:
        """A damaged blob is left for the next build."""
        del digest, seen
