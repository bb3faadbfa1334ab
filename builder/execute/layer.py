"""Layers: the tar blob of one snapshot, made when an output first needs it and remembered with its state."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from builder.core.tar import TarWriter
from builder.core.tree import hash_bytes
from builder.digest import Digest
from builder.errors import CoreError, ImageError
from builder.image.compression import CHUNK
from builder.store.layers import Layer
from builder.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

_MEDIA_TYPES = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "uncompressed": "application/vnd.oci.image.layer.v1.tar",
}
# Chunks between the thread that reads files and the one that compresses: enough to keep both busy.
_QUEUED = 4


class _Compressor(Protocol):
    def compress(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes: ...


class _Plain:
    """No compression, with the shape of one."""

    def compress(self, data: bytes) -> bytes:
        """The data themselves."""
        return data

    def flush(self) -> bytes:
        """Nothing is held back."""
        return b""


def known_layer(
    store: Store, state: bytes, *, compression: str = "gzip", max_mtime: int = -1
) -> Layer | None:
    """The layer of a state's own snapshot if the store has its blob; see `ensure_layer`."""
    for layer in store.layers.of_state(_clamped(store, state, max_mtime)):
        if (layer.pulled or layer.media_type == _MEDIA_TYPES[compression]) and store.blobs.has(layer.digest):
            return layer
    return None


def ensure_layer(store: Store, state: bytes, *, compression: str = "gzip", max_mtime: int = -1) -> Layer:
    """The layer of a state's own snapshot: a blob that the store has already, or one made now.

    `compression` is gzip, zstd or uncompressed; a layer that was pulled is taken as it came. `max_mtime` (seconds, -1:
    none) clamps the times of files.
    """
    with store.layers.making(state):  # an output and a cache may want it at once
        known = known_layer(store, state, compression=compression, max_mtime=max_mtime)
        if known is not None:
            return known
        if max_mtime < 0 and (promised := promised_layer(store, state)) is not None:
            from builder.store.arrival import need_blob

            need_blob(store, promised)
            return promised
        snapshot = store.snapshot(state)
        if snapshot is None:
            raise ImageError(f"the store has no files for state {state.hex()[:12]}")
        while True:
            layer = _write(store, store.states.path(snapshot), compression, max_mtime)
            store.meter.count(read=snapshot.size)
            store.layers.put(_clamped(store, state, max_mtime), layer)
            if store.blobs.has(layer.digest):  # else it was another state's, too, which was just removed
                return layer


def promised_layer(store: Store, state: bytes) -> Layer | None:
    """The layer of a state that is promised by a remote cache and whose files are not here."""
    found = store.states.get(state)
    if found is None or found.snapshot:
        return None
    # Late: only builds with a remote cache have promises.
    from builder.store.arrival import layer_of

    return layer_of(store, state)


def _clamped(store: Store, state: bytes, max_mtime: int) -> bytes:
    """What a layer is remembered under: its state, or that state with clamped times."""
    return state if max_mtime < 0 else hash_bytes(b"newest %d " % max_mtime + state, store.secret)


def _write(store: Store, path: str, compression: str, max_mtime: int) -> Layer:
    """Write the tar of a snapshot to a blob: one thread reads and hashes the tar, another compresses and stores it."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
    try:
        with (
            store.blobs.writer() as blob,
            TarWriter(folder, layer=True, max_mtime=max_mtime * 10**9 if max_mtime >= 0 else -1) as tar,
        ):
            import hashlib

            diff_id, size = hashlib.sha256(), 0
            with _Pump(_compressor(compression), blob.write) as pump:
                while chunk := tar.read(CHUNK):
                    data = bytes(chunk)
                    pump.put(data)
                    diff_id.update(data)
                    size += len(data)
            digest = blob.commit()
            store.meter.count(hashed=size)
            return Layer(
                diff_id=Digest("sha256", diff_id.hexdigest()),
                digest=digest,
                media_type=_MEDIA_TYPES[compression],
                size=blob.size,
                tar_size=size,
                pulled=False,
            )
    except CoreError as error:
        raise ImageError(f"cannot make a layer: {error.message}") from error
    finally:
        os.close(folder)


class _Pump:
    """A thread that compresses what it is given, in order, and writes it."""

    def __init__(self, compressor: _Compressor, write: Callable[[bytes], object]) -> None:
        import queue

        self._queue: queue.Queue[bytes | None] = queue.Queue(_QUEUED)
        self._compressor, self._write = compressor, write
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="compress", daemon=True)

    def __enter__(self) -> _Pump:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def put(self, data: bytes) -> None:
        """Hand over the next bytes; raises what went wrong with earlier ones."""
        if self._error is not None:
            raise self._error
        self._queue.put(data)

    def _work(self) -> None:
        while (data := self._queue.get()) is not None:
            if self._error is None:
                self._guard(data)
        if self._error is None:
            self._guard(None)

    def _guard(self, data: bytes | None) -> None:
        try:
            self._write(self._compressor.flush() if data is None else self._compressor.compress(data))
        except BaseException as error:
            self._error = error


def _compressor(compression: str) -> _Compressor:
    if compression == "gzip":
        from isal import isal_zlib

        gzip: _Compressor = isal_zlib.compressobj(level=2, wbits=31)
        return gzip
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    return _Plain()
