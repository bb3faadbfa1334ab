"""Layers: the tar blob of one snapshot, made when an output first needs it and remembered with its state."""

from __future__ import annotations

import os
import threading

from builder.core.tar import TarWriter
from builder.core.tree import hash_bytes
from builder.digest import Digest
from builder.errors import CoreError, DamageError, ImageError
from builder.store.layers import Layer
from builder.store.states import State
from builder.store.store import Store

MEDIA_TYPES = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "uncompressed": "application/vnd.oci.image.layer.v1.tar",
}
# Bytes of files from which on threads share the work.
_WORTH_THREADS = 1 << 20
# Seconds that an output waits for a layer which is made at this moment.
_WAIT = 1.0

_MARK = (
    "such a name removes other files when an image is unpacked: leave it out with --exclude or an ignore file, or remove it"
    " in the step that makes it"
)


def known_layer(
    store: Store, state: bytes, *, compression: str = "gzip", max_mtime: int = -1, proven: bool = False
) -> Layer | None:
    """The layer of a state's own snapshot if the store has its blob; see `ensure_layer`."""
    is_there = store.proofs.sound if proven else store.blobs.has
    for layer in store.layers.of_state(_clamped(store, state, max_mtime)):
        if (layer.pulled or layer.media_type == MEDIA_TYPES[compression]) and is_there(layer.digest):
            return layer
    return None


def made_before(store: Store, state: bytes, *, max_mtime: int = -1) -> list[Layer]:
    """The layers that were made of a state's files before, so that what is made now is compared with them."""
    return [layer for layer in store.layers.of_state(_clamped(store, state, max_mtime)) if not layer.pulled]


def ensure_layer(
    store: Store,
    state: bytes,
    *,
    compression: str = "gzip",
    max_mtime: int = -1,
    proven: bool = False,
    patient: bool = False,
    stop: threading.Event | None = None,
) -> Layer:
    """The layer of a state's own snapshot: a blob that the store has already, or one made now.

    `compression` is gzip, zstd or uncompressed; a layer that was pulled is taken as it came. `max_mtime` (seconds, -1:
    none) clamps the times of files. With `proven` a blob whose bytes were changed counts as none. `patient` waits for another
    thread that makes it, however long. A `DamageError` tells that the files were changed, as they do not give the layer that they
    gave; their state is dropped. Setting `stop` ends it with `Cancelled`.
    """
    making = store.layers.making(state)  # an output and a cache may want it at once
    # One who packs for a cache has the lowest priority: where others keep the machine busy it is sooner made twice.
    alone = making.acquire(timeout=-1 if patient else _WAIT)
    try:
        return _ensure_layer(store, state, compression, max_mtime, proven, stop)
    finally:
        if alone:
            making.release()


def _ensure_layer(
    store: Store, state: bytes, compression: str, max_mtime: int, proven: bool, stop: threading.Event | None
) -> Layer:
    known = known_layer(store, state, compression=compression, max_mtime=max_mtime, proven=proven)
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
        layer = _write(store, snapshot, compression, max_mtime, stop)
        _compare(store, state, _clamped(store, state, max_mtime), layer)
        store.layers.put(_clamped(store, state, max_mtime), layer)
        if store.blobs.has(layer.digest):  # else it was another state's, too, which was just removed
            return layer


def _compare(store: Store, state: bytes, name: bytes, layer: Layer) -> None:
    """Drop a state whose files give another layer than they gave; `name` is what its layers are remembered under."""
    earlier = [known for known in store.layers.of_state(name) if not known.pulled]
    if all(known.diff_id == layer.diff_id for known in earlier):
        return
    store.states.forget(state)
    store.layers.forget_own(state)
    store.layers.forget_own(name)
    message = f"the files of a cached step do not give the layer that they gave ({state.hex()[:12]})"
    store.proofs.warn(f"{message}: they were changed in the store, and are not used")
    raise DamageError(message, hint="build again: the step is carried out again")


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


def _write(
    store: Store, snapshot: State, compression: str, max_mtime: int, stop: threading.Event | None
) -> Layer:
    """Write the tar of a snapshot to a blob, piece by piece."""
    # Late: a build whose layers are all there makes none.
    import hashlib

    from builder.core.facts import Facts
    from builder.execute.packing import LayerPieces, Packer
    from builder.execute.pipeline import run, run_alone

    folder = os.open(
        store.states.path(snapshot), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd
    )
    newest = max_mtime * 10**9 if max_mtime >= 0 else -1
    try:
        with Facts(store.secret, spare_fd=store.fd) as facts, store.blobs.writer() as blob:
            facts.load(folder, store.fd, store.states.facts_path(snapshot))
            diff_id = hashlib.sha256()

            def write(data: bytes | memoryview) -> int:
                at = blob.size
                blob.write(data)
                return at

            with (
                TarWriter(folder, layer=True, max_mtime=newest, pieces=True, facts=facts) as tar,
                Packer(store, compression, diff_id.update, write) as packer,
            ):
                pieces = LayerPieces(tar, packer, stop)
                way = run if snapshot.size >= _WORTH_THREADS else run_alone
                size = way(pieces, packer)
                digest = blob.commit()
                packer.keep(digest)
            store.meter.count(read=pieces.read, hashed=size)
            return Layer(
                diff_id=Digest("sha256", diff_id.hexdigest()),
                digest=digest,
                media_type=MEDIA_TYPES[compression],
                size=blob.size,
                tar_size=size,
                pulled=False,
            )
    except CoreError as error:
        mark = error.message.endswith("begins with .wh.")
        raise ImageError(f"cannot make a layer: {error.message}", hint=_MARK if mark else None) from error
    finally:
        os.close(folder)
