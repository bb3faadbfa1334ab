"""Writing remote caches: layers are compressed and sent in the background while the build goes on, records at its end.

Only what a place lacks is sent, and nothing at all if its records are those of this build. A failure is a warning, unless
the caller asked for an error.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
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
from builder.cache.metered import MeteredPlace
from builder.cache.place import Place, open_place
from builder.cache.spec import CacheSpec
from builder.cache.target import Target
from builder.digest import Digest
from builder.engine.cache_upload import Upload
from builder.engine.request import BuildRequest
from builder.engine.session import Session
from builder.engine.stage import StageResult
from builder.errors import BuilderError, Cancelled, DamageError
from builder.events import Outcome
from builder.execute.layer import ensure_layer, known_layer, made_before, promised_layer
from builder.image.manifest import Descriptor, Manifest, describe, render_manifest
from builder.store.layers import Layer
from builder.store.states import SCRATCH
from builder.store.store import Store
from builder.value import replace

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from builder.engine.remote_cache import DoneStep, RemoteCache

Warn = Callable[[str], None]
# Seconds that writing the records may take.
_LAST = 10.0


class CacheExport:
    """All caches that a build writes to."""

    def __init__(self, store: Store, remote: RemoteCache, request: BuildRequest, warn: Warn) -> None:
        self._store, self._remote, self._warn = store, remote, warn
        self.inline = [spec for spec in request.cache_to if spec.type == "inline"]
        self._signers = [(spec, _signing_key(spec)) for spec in request.cache_to]
        self.uploads = [
            Upload(Target(spec, partial(self._place, spec, request)))
            for spec in request.cache_to
            if spec.type != "inline"
        ]
        self.mounts: dict[str, str] = {}
        """The ids of this build's cache mounts by the names of their folders."""
        self._mounted: dict[tuple[str, str], RemoteMount] = {}
        self._files: dict[Digest, str] = {}
        self._listings: dict[str, Descriptor] = {}
        self._stack = ExitStack()
        self._steps: list[DoneStep] = []
        self._lock = threading.Lock()

    def _place(self, spec: CacheSpec, request: BuildRequest) -> Place:
        place = open_place(
            spec, docker_config=request.docker_config, auth_config=request.auth_config, write=True
        )
        return place if spec.type == "local" else MeteredPlace(place, self._store.meter)

    def add(self, step: DoneStep) -> None:
        """A step of the build is done; its layer may go now where all layers are wanted."""
        with self._lock:
            self._steps.append(step)
        for upload in self.uploads:
            if upload.target.spec.mode == "max" and step.record.state != step.parent:
                self._put(upload, step.record.state)

    def close(self) -> None:
        """Stop what still goes on in the background: the build has ended, or failed."""
        for upload in self.uploads:
            upload.stop()
        self._stack.close()
        for upload in self.uploads:
            upload.target.place.close()

    # --- layers ---

    def _put(self, upload: Upload, state: bytes) -> None:
        """The layer of a state is to go, once."""
        if state not in upload.taken:
            upload.taken.add(state)
            upload.put(partial(self._send_layer, upload, state))

    def _send_layer(self, upload: Upload, state: bytes) -> None:
        target = upload.target
        if not upload.ending and self._may_be_damaged(target, state):
            upload.taken.discard(state)  # it goes when no step stands on it any more
            return
        try:
            layer = target.layers[state] = self._layer(upload, state)
            if not target.halted:
                target.send(layer, self._opener(layer))
        except BuilderError:
            upload.taken.discard(state)  # if the build begins again it is made anew
            raise

    def _may_be_damaged(self, target: Target, state: bytes) -> bool:
        """Whether a layer that was here is not, so that making it once more may show that the files were changed, too."""
        if not made_before(self._store, state):
            return False
        return known_layer(self._store, state, compression=target.spec.compression, proven=True) is None

    def _layer(self, upload: Upload, state: bytes) -> Layer:
        """The layer of a state; of a promised one what is known of it, so that it is fetched only if it has to be sent."""
        return promised_layer(self._store, state) or ensure_layer(
            self._store,
            state,
            compression=upload.target.spec.compression,
            proven=True,
            patient=True,
            stop=upload.halting,
        )

    def _opener(self, layer: Layer | Descriptor) -> Callable[[], BinaryIO]:
        def opened() -> BinaryIO:
            if (path := self._files.get(layer.digest)) is not None:
                return open(path, "rb")
            from builder.store.arrival import need_blob

            need_blob(self._store, layer)
            return self._store.blobs.open(layer.digest)

        return opened

    # --- records ---

    def finish(
        self, upload: Upload, chain: frozenset[bytes], check: Callable[[], object] = lambda: None
    ) -> tuple[int, int]:
        """Bring an export to its end: what is missing of the layers, then the records of those that are there. `chain` are the
        states of the result. How many layers are there, and how many there should be: fewer if that would take too long.

        Raises what went wrong. `check` is asked now and then, and raises if the build is to stop.
        """
        target = upload.target
        upload.end()
        steps = list(self._chosen(target.spec, chain))
        states = {step.record.state for step in steps if step.record.state != step.parent}
        for state in states:
            self._put(upload, state)
        for step in steps:
            if any(part.kind == "file" for part in step.shared[-1].parts):
                upload.put(partial(self._send_listing, target, step))
        mounts = self._mounts(target)
        packs = {pack.digest: pack for mount in mounts for pack in mount.packs}
        for pack in packs.values():
            upload.put(partial(target.send, pack, self._opener(pack)))
        whole = upload.settle(check)
        if target.failed is not None:
            failed, target.failed = target.failed, None
            upload.taken.clear()  # the build may begin again
            raise failed
        wanted = {target.layers[state].digest if state in target.layers else state for state in states}
        there = len(wanted & target.there) + len(packs.keys() & target.there)
        if whole or there:
            if not whole:
                target.renew()
            late = threading.Timer(_LAST, target.place.abort)
            late.start()
            try:
                self._write_records(target, steps, mounts)
            finally:
                late.cancel()
        return there, len(wanted) + len(packs)

    def _write_records(
        self, target: Target, steps: Sequence[DoneStep], mounts: Sequence[RemoteMount]
    ) -> None:
        """Write the records of steps, as far as their layers are there, and of mounts that are there as a whole."""
        there = target.there
        records = []
        for step in steps:
            layer = target.layers.get(step.record.state)
            if step.record.state != step.parent and (layer is None or layer.digest not in there):
                continue
            record = self._record(step, layer if step.record.state != step.parent else None)
            listing = self._listings.get(step.shared[-1].key)
            if listing is not None and listing.digest in there:
                record = replace(record, listing=listing)
            records.append(record)
        kept = tuple(mount for mount in mounts if all(pack.digest in there for pack in mount.packs))
        data = render(Document(target.spec.scope, tuple(records), kept))
        parse(data)  # what nobody could read is not written
        layers: dict[Digest, Layer | Descriptor] = {
            blob.digest: blob
            for record in records
            for blob in (record.layer, record.listing)
            if blob is not None
        }
        layers |= {pack.digest: pack for mount in kept for pack in mount.packs}
        manifest = render_manifest(
            Manifest(
                config=describe(data, RECORDS),
                layers=tuple(
                    Descriptor(layer.media_type, digest, layer.size)
                    for digest, layer in sorted(layers.items(), key=lambda item: str(item[0]))
                ),
                annotations=self._signature(target.spec, data),
            )
        )
        if target.look()[0] == manifest:
            return
        target.send(describe(data, RECORDS), lambda: io.BytesIO(data))
        target.place.put_manifest(manifest)

    def inline_document(self, spec: CacheSpec, chain: frozenset[bytes]) -> tuple[tuple[str, str], ...]:
        """The annotations of an image that carries its own records; its layers are those of the image."""
        from builder.cache.inline import ANNOTATION, pack

        records = [self._record(step, self._own_layer(step)) for step in self._chosen(spec, chain)]
        data = render(Document(spec.scope, tuple(records)))
        return ((ANNOTATION, pack(data)), *self._signature(spec, data))

    def _send_listing(self, target: Target, step: DoneStep) -> None:
        """The blob that says what the sources of a step were, made unless the target has it."""
        last = step.shared[-1]
        found = self._listings.get(last.key)
        if found is None and last.listing is not None and last.listing.digest in target.look()[1]:
            found = last.listing
        if found is None:
            found = self._list(step)
        if found is not None:
            self._listings[last.key] = found
            target.send(found, self._opener(found))

    def _list(self, step: DoneStep) -> Descriptor | None:
        """Make it, and remember what it is called; None if there is nothing to say, or too much."""
        path = os.path.join(self._scratch(), "listing")
        try:
            if not step.list_now(path) or os.path.getsize(path) > LARGEST_LISTING:
                return None
        except BuilderError:  # files have changed since; the record is as good without
            return None
        with open(path, "rb") as stream:
            found = describe(stream.read(), LISTING)
        self._files[found.digest] = path
        *others, last = step.shared
        self._remote.remember_key(step.record.key, (*others, replace(last, listing=found)))
        return found

    def _chosen(self, spec: CacheSpec, chain: frozenset[bytes]) -> Iterable[DoneStep]:
        """The steps whose records go there: all, or those that the result stands on. One for each key."""
        with self._lock:
            steps = list(self._steps)
        found: dict[str, DoneStep] = {}
        for step in steps:
            if spec.mode == "max" or step.record.state in chain or step.record.state == SCRATCH:
                found[step.shared[-1].key] = step
        return found.values()

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

    # --- cache mounts ---

    def _mounts(self, target: Target) -> tuple[RemoteMount, ...]:
        """The cache mounts of this build: those that are here, and those that came along with a cache that was read."""
        found = []
        for name, text in self.mounts.items() if target.spec.mounts else ():
            mount = self._packed(target, name, text)
            if mount is None:
                elsewhere = self._remote.mount(name)
                mount = elsewhere[1] if elsewhere is not None else None
            if mount is not None:
                found.append(mount)
        return tuple(found)

    def _packed(self, target: Target, name: str, text: str) -> RemoteMount | None:
        """A mount of this store, in packs that are written once for all targets with one compression."""
        from builder.execute.packs import pack_folder
        from builder.store.cache_mounts import has_files, in_use, opened

        if not has_files(self._store, name):
            return None
        key = (name, target.spec.compression)
        if key not in self._mounted:
            folder = os.path.join(self._scratch(), os.urandom(4).hex())
            os.mkdir(folder)
            try:
                with in_use(self._store, name), opened(self._store, name) as fd:
                    packs = list(pack_folder(fd, folder, compression=target.spec.compression))
            except BuilderError as error:
                self._warn(f"the cache mount {text} is not exported: {error.message}")
                return None
            self._files.update({pack.layer.digest: pack.path for pack in packs})
            self._mounted[key] = RemoteMount(name, text, tuple(pack.layer for pack in packs))
        return self._mounted[key]

    def _scratch(self) -> str:
        return self._stack.enter_context(self._store.new_run()).scratch


def export_caches(session: Session, result: StageResult) -> None:
    """Write all remote caches of a build that is done. Failures are warnings, but for those the caller wants as errors."""
    export = session.remote.export if session.remote is not None else None
    if export is None:
        return
    if any(upload.target.spec.mounts for upload in export.uploads):
        from builder.engine.cache_mounts import mounts_of

        export.mounts = mounts_of(session)
    chain = frozenset(state.id for state in session.store.chain(result.state))
    for upload in export.uploads:
        spec = upload.target.spec
        reporter = session.events.start(f"exporting cache to {spec}", "")
        try:
            session.check()
            there, wanted = export.finish(upload, chain, session.check)
            if there < wanted:
                raise BuilderError(
                    f"it is too slow: {there} of {wanted} layers are there, with their records; the next build sends more"
                )
        except (Cancelled, DamageError):
            reporter.finish(Outcome.CANCELLED)
            raise
        except Exception as error:  # whatever a place's library raises
            message = error.message if isinstance(error, BuilderError) else f"{type(error).__name__}: {error}"
            if spec.fails:
                reporter.finish(Outcome.FAILED, error=message)
                raise BuilderError(f"the cache cannot be exported to {spec}: {message}") from None
            session.events.warn(f"cache export failed: {spec}: {message}")
        reporter.finish(Outcome.DONE)


def _signing_key(spec: CacheSpec) -> Ed25519PrivateKey | None:
    if not spec.get("sign"):
        return None
    from builder.cache.signing import read_private

    return read_private(spec.get("sign"))
