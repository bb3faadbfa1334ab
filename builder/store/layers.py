"""Layers: which blobs are the tar of which state's snapshot."""

from __future__ import annotations

import threading

from builder.digest import Digest, parse_digest
from builder.errors import ImageError
from builder.store.database import Database
from builder.store.rows import whole
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as images name it: `diff_id` is the digest of its tar, `digest` that of the blob.

    `size` is the blob's, `tar_size` the tar's (0 if unknown); `pulled` tells one that came from elsewhere and stays as it is.
    """

    diff_id: Digest
    digest: Digest
    media_type: str
    size: int
    tar_size: int = 0
    pulled: bool = False


_COLUMNS = "diff_id, digest, media_type, size, tar_size, pulled"


class Layers:
    """All layers that the store knows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._making: dict[bytes, threading.Lock] = {}

    def making(self, state: bytes) -> threading.Lock:
        """To be held while a state's layer is made, so that two threads do not make it twice."""
        with self._lock:
            return self._making.setdefault(state, threading.Lock())

    def of_state(self, state: bytes) -> list[Layer]:
        """The layers of a state's own snapshot: one for each compression it was asked in."""
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM layers WHERE state = ? ORDER BY pulled DESC", (state,)
        )
        return [layer for layer in map(_layer, rows) if layer is not None]

    def by_digest(self, digest: Digest) -> Layer | None:
        """A layer by the digest of its blob."""
        row = self._database.one(f"SELECT {_COLUMNS} FROM layers WHERE digest = ? LIMIT 1", (str(digest),))
        return None if row is None else _layer(row)

    def forget_own(self, state: bytes) -> None:
        """Forget the layers that were made of a state's files."""
        self._database.run("DELETE FROM layers WHERE state = ? AND NOT pulled", (state,))

    def put(self, state: bytes, layer: Layer) -> None:
        """Remember the layer of a state."""
        self._database.run(
            f"INSERT OR REPLACE INTO layers (state, {_COLUMNS}) VALUES (?,?,?,?,?,?,?)",
            (
                state,
                str(layer.diff_id),
                str(layer.digest),
                layer.media_type,
                layer.size,
                layer.tar_size,
                layer.pulled,
            ),
        )


def _layer(row: tuple[object, ...]) -> Layer | None:
    """A row as a layer; None for one that nobody of this program wrote."""
    diff_id, digest, media_type, size, tar_size, pulled = row
    try:
        digests = parse_digest(str(diff_id)), parse_digest(str(digest))
    except ImageError:
        return None
    return Layer(*digests, str(media_type), whole(size), whole(tar_size), bool(pulled))
