"""Downloads: which blob a URL gave, and how to ask whether it still does."""

from __future__ import annotations

import os

from builder.core.tree import hash_bytes
from builder.digest import Digest, parse_digest
from builder.errors import ImageError
from builder.store.blobs import Blobs
from builder.store.database import Database
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Download:
    """A URL's bytes as a blob; `etag` is the server's own name for them (may be empty), `modified` their time in
    seconds, 0 if it gave none.
    """

    digest: Digest
    etag: str
    modified: int


class Downloads:
    """What was fetched from URLs. A URL may hold a password, so that only a hash of it is kept."""

    def __init__(self, database: Database, secret: bytes, fd: int, blobs: Blobs) -> None:
        self._database, self._secret = database, secret
        self._fd, self._blobs = fd, blobs

    def get(self, url: str) -> Download | None:
        """What a URL gave last."""
        row = self._database.one(
            "SELECT digest, etag, modified FROM downloads WHERE url = ?", (self._key(url),)
        )
        if row is None:
            return None
        try:
            return Download(parse_digest(str(row[0])), str(row[1]), int(row[2]))
        except ImageError:  # damaged: as good as none
            return None

    def use(self, download: Download) -> bool:
        """Whether the bytes of a download are there; if so, nobody removes them while the store is open.

        The time of the blob's file tells when it was last used.
        """
        if not self._blobs.hold(download.digest):
            return False
        try:
            os.utime(self._blobs.path(download.digest), dir_fd=self._fd)
        except OSError:  # a store that can only be read
            pass
        return True

    def put(self, url: str, download: Download) -> None:
        """Keep what a URL gave."""
        self._database.run(
            "INSERT OR REPLACE INTO downloads (url, digest, etag, modified) VALUES (?,?,?,?)",
            (self._key(url), str(download.digest), download.etag, download.modified),
        )

    def _key(self, url: str) -> bytes:
        return hash_bytes(url.encode("utf-8", "surrogateescape"), self._secret)
