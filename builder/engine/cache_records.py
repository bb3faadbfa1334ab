"""What a remote cache is told of the steps of a build: their records, and what their sources were."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from builder.cache.document import (
    LARGEST_LISTING,
    LISTING,
    RECORDS,
    Document,
    RemoteMount,
    RemoteRecord,
    parse,
    render,
)
from builder.cache.spec import CacheSpec
from builder.cache.target import Target
from builder.digest import Digest
from builder.engine.shared_steps import DoneStep
from builder.errors import BuilderError
from builder.execute.layer import ensure_layer, promised_layer
from builder.image.manifest import Descriptor, Manifest, describe, render_manifest
from builder.store.layers import Layer
from builder.store.runs import Run
from builder.store.states import SCRATCH
from builder.store.store import Store
from builder.value import replace

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from builder.engine.remote_cache import RemoteCache


class CacheRecords:
    """The steps that a build came past, as caches keep them. Threads may share it.

    `files` are blobs that were made for caches and are none of the store, with their paths; they go with the export.
    """

    def __init__(self, store: Store, remote: RemoteCache, specs: Iterable[CacheSpec]) -> None:
        self._store, self._remote = store, remote
        self._signers = [(spec, _signing_key(spec)) for spec in specs]
        self.files: dict[Digest, str] = {}
        self._listings: dict[str, Descriptor] = {}
        self._runs: list[Run] = []
        self._handed_on = False
        self._steps: list[DoneStep] = []
        self._lock = threading.Lock()

    def add(self, step: DoneStep) -> None:
        """A step of the build is done."""
        with self._lock:
            self._steps.append(step)

    def close(self) -> None:
        """Remove what was made for caches, unless others were given it."""
        for run in self._runs:
            if self._handed_on:
                run.leave()
            else:
                run.__exit__(None, None, None)
        self._runs.clear()

    def hand_on(self) -> list[int]:
        """Descriptors for processes that need `files`, which are there as long as one of them has these open."""
        self._handed_on = True
        return [run.lock for run in self._runs]

    def scratch(self) -> str:
        """A folder that lives as long as the export."""
        self._runs.append(self._store.new_run())
        return self._runs[-1].scratch

    def trusted(self, spec: CacheSpec) -> list[Ed25519PublicKey] | None:
        """Whose signature what is there needs, so that records which are signed may build on it; None: nobody's."""
        key = next((key for known, key in self._signers if known is spec), None)
        return None if key is None else [key.public_key()]

    def chosen(self, spec: CacheSpec, chain: frozenset[bytes]) -> list[DoneStep]:
        """The steps whose records go there: all, or those that the result stands on. One for each key."""
        with self._lock:
            steps = list(self._steps)
        found: dict[str, DoneStep] = {}
        for step in steps:
            if spec.mode == "max" or step.record.state in chain or step.record.state == SCRATCH:
                found[step.shared[-1].key] = step
        return list(found.values())

    def write(
        self,
        target: Target,
        steps: Sequence[DoneStep],
        layers: Mapping[bytes, Layer],
        mounts: Sequence[RemoteMount],
        last: Callable[[Callable[[], object], bool], object],
    ) -> None:
        """Write the records of steps, as far as their layers are there, and of mounts that are there as a whole.

        `last` is given what puts them there, and whether they are there already, and decides.
        """
        there = target.there
        records = []
        for step in steps:
            layer = layers.get(step.record.state)
            if step.record.state != step.parent and (layer is None or layer.digest not in there):
                continue
            record = self._record(step, layer if step.record.state != step.parent else None)
            listing = self._listings.get(step.shared[-1].key)
            if listing is not None and listing.digest in there:
                record = replace(record, listing=listing)
            records.append(record)
        kept = tuple(mount for mount in mounts if all(blob.digest in there for blob in mount.blobs))
        data = render(Document(target.spec.scope, tuple(records), kept))
        parse(data)  # what nobody could read is not written
        blobs: dict[Digest, Layer | Descriptor] = {
            blob.digest: blob
            for record in records
            for blob in (record.layer, record.listing)
            if blob is not None
        }
        blobs |= {blob.digest: blob for mount in kept for blob in mount.blobs}
        manifest = render_manifest(
            Manifest(
                config=describe(data, RECORDS),
                layers=tuple(
                    Descriptor(blob.media_type, digest, blob.size)
                    for digest, blob in sorted(blobs.items(), key=lambda item: str(item[0]))
                ),
                annotations=self._signature(target.spec, data),
            )
        )
        same = target.look()[0] == manifest
        if not same:
            target.send(describe(data, RECORDS), lambda: io.BytesIO(data))
        last(lambda: target.place.put_manifest(manifest), same)

    def inline_document(self, spec: CacheSpec, chain: frozenset[bytes]) -> tuple[tuple[str, str], ...]:
        """The annotations of an image that carries its own records; its layers are those of the image."""
        from builder.cache.inline import ANNOTATION, pack

        records = [self._record(step, self._own_layer(step)) for step in self.chosen(spec, chain)]
        data = render(Document(spec.scope, tuple(records)))
        return ((ANNOTATION, pack(data)), *self._signature(spec, data))

    # --- what sources were ---

    def send_listing(
        self, target: Target, step: DoneStep, opener: Callable[[Descriptor], Callable[[], BinaryIO]]
    ) -> None:
        """The blob that says what the sources of a step were, made unless the target has it."""
        last = step.shared[-1]
        found, known = self._listings.get(last.key), last.listing
        if found is None and known is not None and (known.digest in self.files or target.holds(known.digest)):
            found = known
        if found is None:
            found = self.make_listing(step)
        if found is not None:
            self._listings[last.key] = found
            target.send(found, opener(found))

    def make_listing(self, step: DoneStep) -> Descriptor | None:
        """Make it, and remember what it is called; None if there is nothing to say, or too much."""
        path = os.path.join(self.scratch(), "listing")
        try:
            if not step.list_now(path) or os.path.getsize(path) > LARGEST_LISTING:
                return None
        except BuilderError:  # files have changed since; the record is as good without
            return None
        with open(path, "rb") as stream:
            name = hashlib.file_digest(stream, "sha256").hexdigest()
        found = Descriptor(LISTING, Digest("sha256", name), os.path.getsize(path))
        self.files[found.digest] = path
        *others, last = step.shared
        self._remote.remember_key(step.record.key, (*others, replace(last, listing=found)))
        return found

    # --- one record ---

    def _own_layer(self, step: DoneStep) -> Layer | None:
        """A step's layer as an image has it."""
        if step.record.state == step.parent:
            return None
        return promised_layer(self._store, step.record.state) or ensure_layer(
            self._store, step.record.state, proven=True
        )

    def _record(self, step: DoneStep, layer: Layer | None) -> RemoteRecord:
        """A step as caches keep it; `layer` holds what it changed, if it changed anything."""
        record, changes, entries = step.record, None, 0
        if layer is not None:
            changes = self._remote.portables.changes(record.state)
            state = self._store.states.get(record.state)
            entries = state.entries if state is not None else 0
        return RemoteRecord(
            keys=tuple(item.key for item in step.shared),
            slot=step.slot,
            parts=step.shared[-1].parts,
            created=record.created,
            seconds=record.seconds,
            entries=entries,
            size=record.size,
            changes=changes,
            layer=layer,
        )

    def _signature(self, spec: CacheSpec, data: bytes) -> tuple[tuple[str, str], ...]:
        key = next((key for known, key in self._signers if known is spec), None)
        if key is None:
            return ()
        from builder.cache.signing import SIGNATURE, sign

        return ((SIGNATURE, sign(data, key)),)


def _signing_key(spec: CacheSpec) -> Ed25519PrivateKey | None:
    if not spec.get("sign"):
        return None
    from builder.cache.signing import read_private

    return read_private(spec.get("sign"))
