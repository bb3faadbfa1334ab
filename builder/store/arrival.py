"""Layers that were promised: states whose files are elsewhere until somebody needs them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

from builder.digest import Digest
from builder.errors import BuilderError, CacheLostError, ImageError
from builder.image.compression import CHUNK, decompress_bounded
from builder.image.manifest import Descriptor
from builder.store.importing import ImageSource, Progress, bounded, read_layers
from builder.store.layers import Layer
from builder.store.locks import locked
from builder.store.states import State
from builder.store.store import Store

_LOCKS = 256


class Supplier(Protocol):
    """Where promised layers come from in this build."""

    def offers(self, digest: Digest) -> bool:
        """Whether a blob can be had."""
        ...

    def sources_of(self, digest: Digest) -> Sequence[ImageSource]:
        """Those that have a blob, the best first."""
        ...

    def repositories(self, digest: Digest) -> Sequence[tuple[str, str]]:
        """Registries and their repositories that have a blob, which a push to the same registry can mount."""
        ...

    def watch(self, source: ImageSource) -> AbstractContextManager[Progress]:
        """Around the reading of layers from a source: what is told how far that is."""
        ...

    def lost(self, source: ImageSource, error: BuilderError) -> None:
        """A source did not give what it promised: it is not to be offered any more."""
        ...


class _Blobs:
    """Blobs of the store as a source."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def manifest(self) -> tuple[Descriptor, bytes]:
        raise AssertionError("only layers are read")

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        with self._store.blobs.open(descriptor.digest) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk


def layer_of(store: Store, state: bytes) -> Layer | None:
    """The layer that a promise is about."""
    return next((layer for layer in store.layers.of_state(state) if layer.pulled), None)


def is_available(store: Store, state: bytes) -> bool:
    """Whether a promised state's layer can be had: from a blob of the store, or from this build's remote caches."""
    layer = layer_of(store, state)
    if layer is None:
        return False
    if store.blobs.has(layer.digest):
        return True
    return store.supplier is not None and store.supplier.offers(layer.digest)


def bring(store: Store, missing: Sequence[State]) -> None:
    """Fetch and unpack promised states, the lowest first in `missing`; what others fetch now is waited for.

    A `CacheLostError` if a layer cannot be had any more; its promise is forgotten.
    """
    names = sorted({f"arrival-{state.id[0] % _LOCKS:02x}" for state in missing})
    with ExitStack() as stack:
        for name in names:  # in one order, so that no two wait for each other
            stack.enter_context(locked(store.fd, name, store.check))
        wanted = []
        for state in missing:
            now = store.states.get(state.id)
            if now is None:
                raise _gone(state)
            if not now.snapshot:
                wanted.append(now)
        layers = [_known_layer(store, state) for state in wanted]
        for run in _runs(store, wanted, layers):
            _bring_run(store, *run)


def _known_layer(store: Store, state: State) -> Layer:
    layer = layer_of(store, state.id)
    if layer is None:
        raise _gone(state)
    return layer


def _gone(state: State) -> CacheLostError:
    return CacheLostError(f"the files of a cached step are not here any more: {state.id.hex()[:12]}")


def _runs(
    store: Store, states: Sequence[State], layers: Sequence[Layer]
) -> Iterator[tuple[list[State], list[Layer], list[ImageSource]]]:
    """Neighbours that come from the same sources together, so that they are fetched side by side."""
    found: list[tuple[list[State], list[Layer], list[ImageSource]]] = []
    for state, layer in zip(states, layers, strict=True):
        sources = sources_of(store, layer.digest)
        if found and found[-1][2] == sources:
            found[-1][0].append(state)
            found[-1][1].append(layer)
        else:
            found.append(([state], [layer], sources))
    yield from found


def sources_of(store: Store, digest: Digest) -> list[ImageSource]:
    """Where a blob can be had, the nearest first."""
    sources: list[ImageSource] = []
    if store.proofs.sound(digest):
        sources.append(_Blobs(store))
    if store.supplier is not None:
        sources += store.supplier.sources_of(digest)
    return sources


def _bring_run(store: Store, states: list[State], layers: list[Layer], sources: list[ImageSource]) -> None:
    failure: BuilderError | None = None
    for source in sources:
        try:
            with _watched(store, source) as progress:
                read_layers(store, source, states, layers, progress)
            return
        except BuilderError as error:
            failure = error
            _tell_lost(store, source, error)
    raise CacheLostError(
        f"a layer cannot be had: {failure.message}"
        if failure
        else "a layer of a remote cache cannot be had any more"
    )


@contextmanager
def _watched(store: Store, source: ImageSource) -> Iterator[Progress | None]:
    """How far reading is, told to whoever supplies layers; of what is here there is nothing to tell."""
    if isinstance(source, _Blobs) or store.supplier is None:
        yield None
        return
    with store.supplier.watch(source) as progress:
        yield progress


def _tell_lost(store: Store, source: ImageSource, error: BuilderError) -> None:
    if isinstance(source, _Blobs):
        return
    if store.supplier is not None:
        store.supplier.lost(source, error)


def need_blob(store: Store, layer: Layer | Descriptor) -> None:
    """Make sure that the blob of a layer is in the store, without unpacking it; a `CacheLostError` if it cannot be had."""
    if store.blobs.has(layer.digest):
        return
    with locked(store.fd, f"arrival-{int(layer.digest.hex[:2], 16) % _LOCKS:02x}", store.check):
        if store.blobs.has(layer.digest):
            return
        failure = ""
        for source in sources_of(store, layer.digest):
            try:
                with _watched(store, source) as progress:
                    _fetch_blob(store, source, layer, progress)
                return
            except BuilderError as error:
                failure = f": {error.message}"
                _tell_lost(store, source, error)
    raise CacheLostError(f"the layer {layer.digest.short} cannot be had{failure}")


def _fetch_blob(
    store: Store, source: ImageSource, layer: Layer | Descriptor, on_progress: Progress | None
) -> None:
    """Bring a blob here. Of a layer what it unpacks to is verified too: an image's config will speak of that."""
    descriptor = Descriptor(layer.media_type, layer.digest, layer.size)
    known = layer if isinstance(layer, Layer) else store.layers.by_digest(layer.digest)
    with store.blobs.writer() as blob:

        def kept() -> Iterator[bytes]:
            for chunk in bounded(source.read(descriptor), descriptor):
                blob.write(chunk)
                if on_progress is not None:
                    on_progress(f"layer {layer.digest.short}", blob.size, layer.size)
                yield chunk

        if known is None:
            for _ in kept():
                pass
        else:
            what = f"layer {layer.digest.short}"
            plain = hashlib.new(known.diff_id.algorithm)
            for data in decompress_bounded(kept(), what=what):
                plain.update(data)
            if plain.hexdigest() != known.diff_id.hex:
                raise ImageError(f"{what} unpacks to something else than its record says ({known.diff_id})")
        blob.commit(layer.digest)
