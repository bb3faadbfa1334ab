"""Compression piece by piece: each piece is a gzip member or zstd frame of its own, as these formats allow, so that pieces can be
compressed side by side, with the same result on any number of cores, and the compressed pieces of earlier layers be used again.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

from builder.core.tar import TarWriter
from builder.core.tree import hash_bytes
from builder.digest import Digest
from builder.errors import Cancelled, ImageError
from builder.store.pieces import Piece
from builder.store.store import Store
from builder.value import dataclass

_LEVELS = {"gzip": 2, "zstd": 3}
# Of layers with fewer pieces none is remembered: they are compressed in no time.
_WORTH_KEEPING = 4


@dataclass(frozen=True, slots=True)
class Packed:
    """A piece as it goes into the blob, its own fingerprint, and what it is the compressed form of (by what is known of that)."""

    data: bytes | memoryview
    fingerprint: bytes = b""
    keys: tuple[bytes, ...] = ()


class LayerPieces:
    """The pieces of a layer's tar: those that an earlier blob has, made of the same, are not read."""

    def __init__(self, tar: TarWriter, packer: Packer, stop: threading.Event | None = None) -> None:
        """Setting `stop` ends it with `Cancelled`."""
        self._tar, self._packer, self._stop = tar, packer, stop
        self.read = 0

    def next(self, buffer: bytearray) -> tuple[int, Packed | None]:
        """See `builder.execute.pipeline.Source`. `read` counts the bytes that had to be read."""
        if self._stop is not None and self._stop.is_set():
            raise Cancelled("the build was stopped")
        size, name = self._tar.plan(len(buffer))
        found = self._packer.expect(name) if size else None
        if size and found is None:
            self._tar.fill(buffer)
            self.read += size
        return size, found


class Packer:
    """Compresses the pieces of one layer, or finds them in the blobs of earlier ones. Threads may share it."""

    def __init__(
        self,
        store: Store,
        compression: str,
        digest: Callable[[memoryview], object],
        write: Callable[[bytes | memoryview], int],
    ) -> None:
        """`digest` takes the plain bytes; `write` takes the compressed ones and says where in the blob they begin."""
        self._store, self._compression = store, compression
        self.digest, self._write = digest, write
        self._lock = threading.Lock()
        self._blobs: dict[Digest, int] = {}
        self._own = threading.local()
        self._kept: list[Piece] = []
        # By the buffer's pieces in their order: what they are made of.
        self._names: deque[bytes] = deque()
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

    def expect(self, name: bytes) -> Packed | None:
        """The compressed form of a piece made of this (empty: unknown), if an earlier blob has it; called for each in order."""
        key = self._key(b"of ", name) if name and self._compression in _LEVELS else b""
        self._names.append(key)
        return self._find(key) if key else None

    def pack(self, plain: memoryview) -> Packed:
        """The compressed form of a piece."""
        if self._compression not in _LEVELS:
            return Packed(plain)
        secret = self._store.secret
        key = self._key(b"", hash_bytes(plain, secret))
        found = self._find(key)
        if found is not None:
            return found
        data = self._compress(plain)
        return Packed(data, hash_bytes(data, secret), (key,))

    def restore(self, found: Packed, size: int) -> tuple[Packed, memoryview]:
        """A piece that was found, and what it is the compressed form of."""
        if self._compression == "gzip":
            plain = self._gzip.decompress(found.data, self._gzip.DECOMP_GZIP, bufsize=size)
        else:
            import zstandard

            plain = zstandard.ZstdDecompressor().decompress(found.data, max_output_size=size)
        if len(plain) != size:
            raise ImageError("a piece of an earlier layer is not what it was", hint="build with --no-cache")
        return found, memoryview(plain)

    def write(self, packed: Packed) -> None:
        """Write a piece, and note where it is."""
        at, size = self._write(packed.data), len(packed.data)
        made_of = self._names.popleft() if self._names else b""
        for key in {*packed.keys, made_of} - {b""}:
            self._kept.append(Piece(key, at, size, packed.fingerprint))

    def keep(self, digest: Digest) -> None:
        """The blob is in the store: remember its pieces."""
        if len(self._kept) >= _WORTH_KEEPING:
            self._store.pieces.keep(digest, self._kept)

    def _key(self, kind: bytes, name: bytes) -> bytes:
        return b"%s %d " % (self._compression.encode(), _LEVELS[self._compression]) + kind + name

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

    def _find(self, key: bytes) -> Packed | None:
        """A compressed piece from a blob that has it, undamaged."""
        found = self._store.pieces.find(key)
        if found is None:
            return None
        digest, piece = found
        fd = self._open(digest)
        if fd < 0:
            return None
        data = os.pread(fd, piece.size, piece.at)
        if hash_bytes(data, self._store.secret) != piece.fingerprint:
            return None
        return Packed(data, piece.fingerprint, (key,))

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
