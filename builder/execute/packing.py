"""Compression piece by piece: each piece is a gzip member or zstd frame of its own, as these formats allow, so that pieces can be
compressed side by side, with the same result on any number of cores, and the compressed pieces of earlier layers be used again.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Any

from builder.core.tree import hash_bytes
from builder.digest import Digest
from builder.errors import ImageError
from builder.store.pieces import Piece
from builder.store.store import Store
from builder.value import dataclass

_LEVELS = {"gzip": 2, "zstd": 3}
# Of layers with fewer pieces none is remembered: they are compressed in no time.
_WORTH_KEEPING = 4


@dataclass(frozen=True, slots=True)
class Packed:
    """A piece as it goes into the blob, what it is the compressed form of, and its own fingerprint."""

    data: bytes | memoryview
    key: bytes = b""
    fingerprint: bytes = b""


class Packer:
    """Compresses the pieces of one layer, or finds them in the blobs of earlier ones. Threads may share it."""

    def __init__(self, store: Store, compression: str) -> None:
        self._store, self._compression = store, compression
        self._lock = threading.Lock()
        self._blobs: dict[Digest, int] = {}
        self._own = threading.local()
        self._kept: list[Piece] = []
        if compression == "gzip":
            from isal import igzip_lib

            self._gzip: Any = igzip_lib

    def __enter__(self) -> Packer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._blobs.values():
            if fd >= 0:
                os.close(fd)
        self._blobs.clear()

    def pack(self, plain: memoryview) -> Packed:
        """The compressed form of a piece."""
        if self._compression == "uncompressed":
            return Packed(plain)
        secret = self._store.secret
        key = self._compression.encode() + b" %d " % _LEVELS[self._compression] + hash_bytes(plain, secret)
        data = self._find(key)
        if data is None:
            data = self._compress(plain)
        return Packed(data, key, hash_bytes(data, secret))

    def note(self, packed: Packed, at: int) -> None:
        """A piece was written at this place of the blob."""
        if packed.key:
            self._kept.append(Piece(packed.key, at, len(packed.data), packed.fingerprint))

    def keep(self, digest: Digest) -> None:
        """The blob is in the store: remember its pieces."""
        if len(self._kept) >= _WORTH_KEEPING:
            self._store.pieces.keep(digest, self._kept)

    def _compress(self, plain: memoryview) -> bytes:
        if self._compression == "gzip":
            packed: bytes = self._gzip.compress(plain, _LEVELS["gzip"], self._gzip.COMP_GZIP)
            return packed
        import zstandard

        compressor = getattr(self._own, "zstd", None)
        if compressor is None:
            compressor = zstandard.ZstdCompressor(level=_LEVELS["zstd"], write_checksum=True)
            self._own.zstd = compressor
        return bytes(compressor.compress(plain))

    def _find(self, key: bytes) -> bytes | None:
        """A compressed piece from a blob that has it, undamaged."""
        found = self._store.pieces.find(key)
        if found is None:
            return None
        digest, piece = found
        fd = self._open(digest)
        if fd < 0:
            return None
        data = os.pread(fd, piece.size, piece.at)
        return data if hash_bytes(data, self._store.secret) == piece.fingerprint else None

    def _open(self, digest: Digest) -> int:
        """A descriptor of a blob, kept until the end; -1 if it is gone."""
        with self._lock:
            if digest not in self._blobs:
                try:
                    with self._store.blobs.open(digest) as stream:
                        self._blobs[digest] = os.dup(stream.fileno())
                except ImageError:
                    self._store.pieces.forget(digest)
                    self._blobs[digest] = -1
            return self._blobs[digest]
