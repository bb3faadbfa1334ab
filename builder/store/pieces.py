"""Pieces: where in the blobs of the store the compressed form of some bytes is, so that a layer that changed little is not
compressed anew as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from builder.digest import Digest, parse_digest
from builder.store.database import Database
from builder.value import dataclass

# More rows than these are not kept; the oldest go. That is some 30 GB of layers.
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Piece:
    """`size` bytes of a blob from `at` on, with their fingerprint; `key` says what they are the compressed form of, and how."""

    key: bytes
    at: int
    size: int
    fingerprint: bytes


class Pieces:
    """All pieces that a store knows. What it says is a hint: the blob may be gone or damaged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: bytes) -> tuple[Digest, Piece] | None:
        """The blob that has a piece, and where in it."""
        row = self._database.one("SELECT digest, at, size, fingerprint FROM pieces WHERE key = ?", (key,))
        if row is None:
            return None
        return parse_digest(str(row[0])), Piece(key, int(row[1]), int(row[2]), bytes(row[3]))

    def keep(self, digest: Digest, pieces: Iterable[Piece]) -> None:
        """Remember the pieces of a blob, in place of those that said the same of others."""
        rows = [(piece.key, str(digest), piece.at, piece.size, piece.fingerprint) for piece in pieces]
        with self._database.transaction():
            self._database.many(
                "INSERT OR REPLACE INTO pieces (key, digest, at, size, fingerprint) VALUES (?,?,?,?,?)", rows
            )
            self._database.run(
                "DELETE FROM pieces WHERE number <= (SELECT max(number) FROM pieces) - ?", (_MOST,)
            )

    def forget(self, digest: Digest) -> None:
        """A blob is gone."""
        self._database.run("DELETE FROM pieces WHERE digest = ?", (str(digest),))
