"""The remote caches of one build: records are looked up in those to read from, and given to those to write to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from builder.cache.document import RemoteMount, RemoteRecord, portable_key
from builder.cache.key import Part, state_after
from builder.cache.portable import Portables, step_digest
from builder.digest import Digest
from builder.engine.remote_reasons import RemoteReasons
from builder.engine.remote_sources import open_sources, shared_slot
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.engine.shared_steps import RemoteHit, SharedKey, keys_of, keys_text
from builder.errors import BuilderError
from builder.events import Outcome
from builder.image.platform import Platform
from builder.store.importing import ImageSource, Progress
from builder.store.records import Record
from builder.store.store import Store
from builder.value import dataclass

if TYPE_CHECKING:
    from builder.cache.imported import ImportedCache
    from builder.engine.cache_export import CacheExport
    from builder.registry.client import Client
    from builder.store.images import StoredImage

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Base:
    """Where the layers of a base come from."""

    client: Client
    source: ImageSource
    digests: frozenset[Digest]


class RemoteCache:
    """See the module. It is also what the store asks for promised layers (`builder.store.arrival.Supplier`)."""

    def __init__(
        self,
        store: Store,
        request: BuildRequest,
        platform: Platform,
        slot: str,
        events: Events,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._store, self._events, self._cancelled = store, events, cancelled
        warn = events.warn
        self._rows = store.portables
        self._own_slot, self._shared_slot = slot, shared_slot(slot, request.context)
        self.portables = Portables(store)
        self.sources, self._trusted = open_sources(request, platform, warn, store.meter)
        self.reasons = RemoteReasons(store, self.portables, self.sources, self.slot)
        if store.records.is_empty():
            self.begin()
        self.export: CacheExport | None = None
        if request.cache_to:
            from builder.engine.cache_export import CacheExport

            self.export = CacheExport(store, self, request, warn)
        self._docker_config, self._auth_config = request.docker_config, request.auth_config
        self._bases: list[_Base] = []
        self._images: dict[tuple[str, str], StoredImage] = {}
        self._base_lock = threading.Lock()
        store.supplier = self

    def close(self) -> None:
        """Keep what was found out, and let go of connections; safe after any failure."""
        self._store.supplier = None
        if self.export is not None:
            self.export.close()
        self.portables.close()
        for source in self.sources:
            source.close()
        for base in self._bases:
            base.client.close()

    # --- looking up ---

    def slot(self, slot: str) -> str:
        """What a step's place is called on every machine."""
        return self._shared_slot + slot.removeprefix(self._own_slot)

    def trusts(self, key: bytes) -> bool:
        """Whether a record of the store may be taken: where signatures count, what came from a cache needs one here too."""
        if self._trusted is None:
            return True
        signer = self._store.records.signer(key)
        return signer is None or signer in self._trusted

    @staticmethod
    def shared_key(parts: tuple[Part, ...]) -> SharedKey:
        """The key of portable parts."""
        return SharedKey(portable_key(parts), parts)

    def begin(self) -> None:
        """The store lacks a record: the caches will be asked, and fetch meanwhile what they need for that."""
        for source in self.sources:
            source.begin()

    def look_up(
        self, shared: SharedKey, key: bytes, slot: str, parts: tuple[Part, ...], parent: bytes
    ) -> RemoteHit | None:
        """The record of a portable key as one of this store; None if no cache has one.

        No layer is fetched: the state it leads to is promised.
        """
        for source in self.sources:
            found = source.find(shared.key)
            if found is None:
                continue
            source.patience.spare(found.seconds)
            state = self._promise(found, parent)
            record = Record(
                key=key,
                state=state,
                slot=slot,
                parts=tuple((part.kind, part.name, part.value) for part in parts),
                created=found.created,
                seconds=found.seconds,
                size=found.size,
            )
            *cheap, last = found.keys
            keys = (*(SharedKey(text, ()) for text in cheap), SharedKey(last, found.parts, found.listing))
            return RemoteHit(record, str(source.spec), source.signer, keys)
        return None

    def spared(self, record: Record) -> None:
        """A step was found whose record is here: if its files are not, those who have them have spared it."""
        known = self._store.states.get(record.state)
        if known is None or known.snapshot:
            return
        for layer in self._store.layers.of_state(record.state):
            for source in self.sources:
                if layer.pulled and source.offers(layer.digest):
                    source.patience.spare(record.seconds)

    def _promise(self, found: RemoteRecord, parent: bytes) -> bytes:
        """The state that a remote record leads to from a state of this store."""
        if found.layer is None or found.changes is None:
            return parent
        digest = step_digest(self.portables.of_state(parent), found.changes)
        # Layers with equal changes may have files of different times: each is a state of its own.
        told = found.changes + bytes.fromhex(found.layer.diff_id.hex) + b"promised"
        state = state_after(parent, told, self._store.secret)
        if not self._store.is_available(state):
            self._store.layers.put(state, found.layer)
            self._store.states.promise(state, parent, entries=found.entries, size=found.size)
        self.portables.set_state(state, digest, found.changes)
        return state

    def base(self, reference: str, platform: Platform) -> StoredImage:
        """The image of a reference from its registry; its layers are fetched when something needs them."""
        from builder.engine.images import promise_image

        with self._base_lock:  # stages that begin with one image ask for it once
            key = (reference, str(platform))
            if key not in self._images:
                image, client, source = promise_image(
                    self._store,
                    reference,
                    platform=platform,
                    docker_config=self._docker_config,
                    auth_config=self._auth_config,
                    cancelled=self._cancelled,
                )
                layers = self._store.manifest_of(image).layers
                self._bases.append(_Base(client, source, frozenset(layer.digest for layer in layers)))
                self._images[key] = image
            return self._images[key]

    # --- what the store asks ---

    def offers(self, digest: Digest) -> bool:
        """Whether one of the caches, or a base's registry, has a blob."""
        return any(digest in base.digests for base in self._bases) or any(
            source.offers(digest) for source in self.sources
        )

    def sources_of(self, digest: Digest) -> Sequence[ImageSource]:
        """The caches and registries of bases that have a blob."""
        bases: list[ImageSource] = [base.source for base in self._bases if digest in base.digests]
        return [*bases, *(source.source for source in self.sources if source.offers(digest))]

    def repositories(self, digest: Digest) -> Sequence[tuple[str, str]]:
        """The repositories of bases and among the caches that have a blob."""
        bases = [base.client.reference for base in self._bases if digest in base.digests]
        caches = [source.place.repository for source in self.sources if source.offers(digest)]
        return [(reference.registry, reference.repository) for reference in bases] + [
            place for place in caches if place is not None
        ]

    @contextmanager
    def watch(self, place: ImageSource) -> Iterator[Progress]:
        """Show how far the layers are that come from a cache or a base's registry."""
        source = next((source for source in self.sources if source.source is place), None)
        base = next((base for base in self._bases if base.source is place), None)
        name = source.spec if source is not None else base.client.reference if base is not None else ""
        reporter = self._events.start(f"fetching layers from {name}", "")
        try:
            with ExitStack() as stack:
                if base is not None:
                    from builder.registry.breaking import broken_off_by

                    stack.enter_context(broken_off_by(self._cancelled, base.client))
                # What a cache gives is counted where it comes in.
                yield reporter.local_progress if source is not None else reporter.progress
        except BaseException:
            reporter.finish(Outcome.CANCELLED)
            raise
        reporter.finish(Outcome.DONE)

    def lost(self, place: ImageSource, error: BuilderError) -> None:
        """A cache broke its promise: nothing more is taken from it."""
        for source in self.sources:
            if source.source is place:
                source.give_up(error.message)

    # --- cache mounts ---

    def mount(self, name: str) -> tuple[ImportedCache, RemoteMount] | None:
        """The cache mount of a name that one of the caches has."""
        for source in self.sources:
            document = source.document()
            for mount in document.mounts if document is not None else ():
                if mount.name == name:
                    return source, mount
        return None

    def restore(self, name: str, fd: int) -> bool:
        """Fill an empty folder with the cache mount of a name, if one of the caches has it; whether it is whole."""
        found = self.mount(name)
        if found is None:
            return False
        from builder.execute.packs import unpack_mount

        source, mount = found
        try:
            unpack_mount(source.mounts(), mount, fd)
        except BuilderError as error:
            source.give_up(error.message)
            return False
        except OSError as error:
            source.give_up(error.strerror or str(error))
            return False
        return True

    # --- what was done ---

    def key_known(self, key: bytes) -> tuple[SharedKey, ...] | None:
        """The portable form of a local key that was found out before."""
        text = self._rows.key(key)
        return None if text is None else keys_of(text)

    def remember_key(self, key: bytes, shared: Sequence[SharedKey]) -> None:
        """Keep the portable form of a local key."""
        self._rows.put_key(key, keys_text(shared))
