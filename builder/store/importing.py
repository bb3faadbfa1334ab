"""Bringing images into the store: layers are read, verified, kept and unpacked in one pass, several at once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Protocol

from builder.core.process import overlay_mount
from builder.core.tar import Untar
from builder.digest import Digest, digest_of
from builder.errors import CoreError, ImageError
from builder.image.compression import decompress
from builder.image.config import ImageConfig, parse_document
from builder.image.manifest import (
    Descriptor,
    Index,
    Manifest,
    choose_platform,
    offered_platforms,
    parse_manifest,
)
from builder.image.platform import Platform
from builder.store.ahead import Ahead
from builder.store.images import StoredImage
from builder.store.layers import Layer
from builder.store.runs import Run
from builder.store.states import SCRATCH, State
from builder.store.store import Store
from builder.value import dataclass

Progress = Callable[[str, int, int], None]

_AT_ONCE = 4
_DOCUMENT_LIMIT = 16 << 20
_MOST_LAYERS = 400
# A layer that unpacks to more is a mistake or an attack.
# Of layers that have so many bytes, packed, many files are to be expected.
_LARGE = 1 << 20
_UNPACKED_LIMIT = 1 << 40
_ENTRIES_LIMIT = 20_000_000


class ImageSource(Protocol):
    """Where an image comes from: a layout, an archive, a registry."""

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The manifest or index that the source was asked for."""
        ...

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob in pieces; nobody has verified them."""
        ...


@dataclass(slots=True)
class _Unpacked:
    """A layer that was read and waits for the ones below it."""

    run: Run
    untar: Untar
    layer: Layer
    entries: int
    size: int


def import_image(
    store: Store,
    source: ImageSource,
    *,
    platform: Platform,
    on_progress: Progress | None = None,
    lazy: bool = False,
) -> StoredImage:
    """Bring the image of a source for a platform into the store; layers that are there are not read.

    With `lazy` the others are not read either, but promised (see `builder.store.arrival`); an image that lacks some is not
    kept under its name. An `ImageError` says which part is damaged or does not fit; nothing of a failed import stays but
    whole blobs.
    """
    descriptor, document = _choose(source, platform)
    known = store.images.by_manifest(descriptor.digest)
    if known is not None and is_whole(store, known):
        return known
    manifest = parse_manifest(document)
    assert isinstance(manifest, Manifest)
    config = _read_document(source, manifest.config)
    parsed = parse_document(config)
    if len(parsed.diff_ids) != len(manifest.layers):
        raise ImageError(
            f"the image's manifest has {len(manifest.layers)} layers, its config speaks of {len(parsed.diff_ids)}"
        )
    if len(manifest.layers) > _MOST_LAYERS:
        raise ImageError(
            f"the image has {len(manifest.layers)} layers; more than {_MOST_LAYERS} cannot be mounted"
        )
    keep = True
    if lazy:
        state = _promise_layers(store, manifest.layers, parsed.diff_ids)
        keep = all(store.blobs.has(layer.digest) for layer in manifest.layers)
    else:
        state = _import_layers(store, source, manifest.layers, parsed.diff_ids, on_progress)
    return store.put_image(document, config, state=state, platform=parsed.config.platform, keep=keep)


def known_image(store: Store, source: ImageSource, *, platform: Platform) -> StoredImage | None:
    """The image of a source if the store has all of it; only its manifest is read."""
    descriptor, _ = _choose(source, platform)
    known = store.images.by_manifest(descriptor.digest)
    return known if known is not None and is_whole(store, known) else None


def read_config(source: ImageSource, *, platform: Platform) -> ImageConfig:
    """The config of the image of a source for a platform; nothing is brought into a store."""
    _, document = _choose(source, platform)
    manifest = parse_manifest(document)
    assert isinstance(manifest, Manifest)
    return parse_document(_read_document(source, manifest.config)).config


def is_whole(store: Store, image: StoredImage) -> bool:
    """Whether all of an image is in the store and sound, as far as its documents go; if so, nobody removes it now."""
    if not store.use_image(image):
        return False
    try:
        store.read_blob(image.config)
        return all(store.blobs.has(layer.digest) for layer in store.manifest_of(image).layers)
    except ImageError:
        return False


def _choose(source: ImageSource, platform: Platform) -> tuple[Descriptor, bytes]:
    """The manifest for a platform, whatever the source begins with."""
    descriptor, document = source.manifest()
    for _ in range(4):
        if digest_of(document) != descriptor.digest:
            raise ImageError(f"the manifest does not have the digest {descriptor.digest}")
        parsed = parse_manifest(document)
        if isinstance(parsed, Manifest):
            return descriptor, document
        descriptor = _entry(parsed, platform)
        document = _read_document(source, descriptor)
    raise ImageError("the image's indexes lead too deep")


def _entry(index: Index, platform: Platform) -> Descriptor:
    chosen = choose_platform(index, platform)
    if chosen is None:
        offered = ", ".join(offered_platforms(index)) or "none"
        raise ImageError(f"the image is not there for {platform}", hint=f"it is for: {offered}")
    return chosen


def _read_document(source: ImageSource, descriptor: Descriptor) -> bytes:
    """A config or manifest, verified."""
    if descriptor.size > _DOCUMENT_LIMIT:
        raise ImageError(f"the document {descriptor.digest} is larger than {_DOCUMENT_LIMIT} bytes")
    data = b"".join(bounded(source.read(descriptor), descriptor))
    if hashlib.new(descriptor.digest.algorithm, data).hexdigest() != descriptor.digest.hex:
        raise ImageError(f"the blob {descriptor.digest} has other bytes than its digest says")
    return data


def bounded(chunks: Iterable[bytes], descriptor: Descriptor) -> Iterator[bytes]:
    """Chunks, as long as they are as many bytes as the descriptor promises; an `ImageError` if not."""
    left = descriptor.size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise ImageError(f"the blob {descriptor.digest} is longer than its {descriptor.size} bytes")
        yield chunk
    if left:
        raise ImageError(
            f"the blob {descriptor.digest} is cut short: {left} of {descriptor.size} bytes are missing"
        )


def image_states(diff_ids: Sequence[Digest]) -> list[bytes]:
    """The state of each layer on the ones below: begins like the chain id (OCI image spec, config.md)."""
    states, chain = [], ""
    for diff_id in diff_ids:
        chain = next_chain(chain, diff_id)
        states.append(state_of_chain(chain))
    return states


def next_chain(chain: str, diff_id: Digest) -> str:
    """The chain id of one more layer on others (empty: none)."""
    return f"sha256:{hashlib.sha256(f'{chain} {diff_id}'.encode()).hexdigest()}" if chain else str(diff_id)


def state_of_chain(chain: str) -> bytes:
    """The state that layers of an image are, by their chain id."""
    return hashlib.sha256(b"layer " + chain.encode()).digest()[:16]


def _promise_layers(store: Store, layers: Sequence[Descriptor], diff_ids: Sequence[Digest]) -> bytes:
    """Remember where each layer that is missing comes in; the state of them all."""
    parent = SCRATCH
    for descriptor, diff_id, state in zip(layers, diff_ids, image_states(diff_ids), strict=True):
        known = store.states.get(state)
        if known is None or not known.snapshot:
            layer = Layer(diff_id, descriptor.digest, descriptor.media_type, descriptor.size, 0, pulled=True)
            store.layers.put(state, layer)
            store.states.promise(state, parent, entries=0, size=0)
        parent = state
    return parent


def _import_layers(
    store: Store,
    source: ImageSource,
    layers: Sequence[Descriptor],
    diff_ids: Sequence[Digest],
    on_progress: Progress | None,
) -> bytes:
    """Read what is missing, several layers at once, and put them on each other in their order."""
    states = image_states(diff_ids)
    missing = [
        number
        for number, state in enumerate(states)
        if not _is_there(store, state, layers[number], diff_ids[number])
    ]
    parents = [SCRATCH, *states]
    read = [(states[number], parents[number], layers[number], diff_ids[number]) for number in missing]
    _read_all(store, source, read, on_progress)
    return parents[-1]


def read_layers(
    store: Store,
    source: ImageSource,
    states: Sequence[State],
    layers: Sequence[Layer],
    on_progress: Progress | None = None,
) -> None:
    """Read and unpack the layers of promised states, several at once; the lowest state comes first."""
    read = [
        (state.id, state.parent, Descriptor(layer.media_type, layer.digest, layer.size), layer.diff_id)
        for state, layer in zip(states, layers, strict=True)
    ]
    _read_all(store, source, read, on_progress)


def _read_all(
    store: Store,
    source: ImageSource,
    wanted: Sequence[tuple[bytes, bytes, Descriptor, Digest]],
    on_progress: Progress | None,
) -> None:
    """Read layers side by side and make them snapshots in their order: each a state, its parent, descriptor and diff_id."""
    if not wanted:
        return
    # Late: it brings `logging`, which an image that is there already has no use for.
    from concurrent.futures import ThreadPoolExecutor

    stop = threading.Event()
    with ExitStack() as stack, ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="layer") as pool:
        futures = [
            pool.submit(_read_layer, store, source, descriptor, diff_id, stack, stop, on_progress)
            for _, _, descriptor, diff_id in wanted
        ]
        try:
            for (state, parent, _, _), future in zip(wanted, futures, strict=True):
                _adopt(store, future.result(), state, parent)
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


def _is_there(store: Store, state: bytes, layer: Descriptor, diff_id: Digest) -> bool:
    """Whether the store has a layer, unpacked and as this very blob, which then stays."""
    if store.states.get(state) is None or not store.blobs.has(layer.digest):
        return False
    if all(known.digest != layer.digest for known in store.layers.of_state(state)):
        # A blob of another state: it must not go with that one.
        store.layers.put(state, Layer(diff_id, layer.digest, layer.media_type, layer.size, pulled=True))
    return store.blobs.has(layer.digest)


def _read_layer(
    store: Store,
    source: ImageSource,
    descriptor: Descriptor,
    diff_id: Digest,
    stack: ExitStack,
    stop: threading.Event,
    on_progress: Progress | None,
) -> _Unpacked:
    """Read one layer: its bytes go to a blob and their digest, what they hold to a folder and its digest."""
    run = stack.enter_context(store.new_run())
    if descriptor.size >= _LARGE:
        run.spread()
    upper = os.open(run.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
    stack.callback(os.close, upper)
    untar = stack.enter_context(
        Untar(
            upper,
            layer=True,
            userxattr=store.userxattr,
            max_bytes=_UNPACKED_LIMIT,
            max_entries=_ENTRIES_LIMIT,
        )
    )
    what = f"layer {descriptor.digest.short}"
    plain = hashlib.new(diff_id.algorithm)
    size = 0
    try:
        with store.blobs.writer() as blob:

            def kept() -> Iterator[bytes]:
                for chunk in bounded(source.read(descriptor), descriptor):
                    if stop.is_set():
                        raise ImageError("another layer failed")
                    blob.write(chunk)
                    if on_progress is not None:
                        on_progress(what, blob.size, descriptor.size)
                    yield chunk

            def hashed() -> Iterator[bytes]:
                for data in decompress(kept(), what=what):
                    plain.update(data)
                    yield data

            # One thread reads, decompresses and hashes while this one makes the files.
            with Ahead(hashed()) as ahead:
                for data in ahead:
                    size += len(data)
                    untar.feed(data)
            result = untar.finish()
            store.meter.count(hashed=size, written=result.bytes)
            if plain.hexdigest() != diff_id.hex:
                raise ImageError(f"{what} unpacks to something else than the image's config says ({diff_id})")
            blob.commit(descriptor.digest)
    except CoreError as error:
        raise ImageError(f"{what} cannot be unpacked: {error.message}") from error
    layer = Layer(diff_id, descriptor.digest, descriptor.media_type, descriptor.size, size, pulled=True)
    return _Unpacked(run, untar, layer, result.entries, result.bytes)


def _adopt(store: Store, unpacked: _Unpacked, state: bytes, parent: bytes) -> None:
    """Make a layer that was read the snapshot of its state."""
    lowers = store.lowers(parent)
    if lowers:
        lower = overlay_mount(store.fd, lowers, None, None, userxattr=store.userxattr)
        try:
            unpacked.untar.adopt(lower)
        except CoreError as error:
            raise ImageError(f"layer {unpacked.layer.digest.short} does not fit: {error.message}") from error
        finally:
            os.close(lower)
    store.states.adopt(unpacked.run, state, parent, entries=unpacked.entries, size=unpacked.size)
    store.layers.put(state, unpacked.layer)
    if not store.blobs.has(unpacked.layer.digest):  # it was another state's, too, which was just removed
        raise ImageError(
            f"layer {unpacked.layer.digest.short} was removed meanwhile", hint="do the same once more"
        )
