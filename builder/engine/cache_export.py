"""Writing remote caches: layers are compressed and sent in the background while the build goes on, records at its end.

Only what a place lacks is sent, and nothing at all if its records are those of this build. A failure is a warning, unless
the caller asked for an error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from builder.cache.metered import MeteredPlace
from builder.cache.place import Place, check_place, open_place
from builder.cache.spec import CacheSpec
from builder.cache.target import Target
from builder.engine.cache_mount_export import MountExport
from builder.engine.cache_records import CacheRecords
from builder.engine.cache_turn import Turn
from builder.engine.cache_upload import AT_THE_END, Limits, Upload
from builder.engine.request import BuildRequest
from builder.engine.session import Session
from builder.engine.shared_steps import DoneStep
from builder.engine.stage import StageResult
from builder.errors import BuilderError, Cancelled, DamageError
from builder.events import Outcome
from builder.execute.layer import ensure_layer, known_layer, made_before, promised_layer
from builder.image.manifest import Descriptor
from builder.store.layers import Layer
from builder.store.store import Store

if TYPE_CHECKING:
    from builder.engine.remote_cache import RemoteCache

Warn = Callable[[str], None]
# Seconds after which people are told that they need not wait.
_PATIENCE = 2.0
_WAITING = (
    b"the outputs are done; whoever does not want to wait may interrupt: the next build sends the rest\n"
)


class CacheExport:
    """All caches that a build writes to."""

    def __init__(self, store: Store, remote: RemoteCache, request: BuildRequest, warn: Warn) -> None:
        self._store, self._remote, self._warn = store, remote, warn
        self.records = CacheRecords(store, remote, request.cache_to)
        self.inline = [spec for spec in request.cache_to if spec.type == "inline"]
        self.uploads: list[Upload] = []
        """What is sent by this process."""
        self.later: list[CacheSpec] = []
        """What goes on in processes of their own when the command has ended."""
        for spec in request.cache_to:
            if spec.type == "inline":
                continue
            check_place(spec)
            if request.wait or not spec.may_go_on:
                turn = Turn(store, spec)
                self.uploads.append(Upload(Target(spec, partial(self._place, spec, request)), turn))
            else:
                self.later.append(spec)
        self.mounts = MountExport(store, remote, self.records, warn)

    def _place(self, spec: CacheSpec, request: BuildRequest) -> Place:
        place = open_place(
            spec, docker_config=request.docker_config, auth_config=request.auth_config, write=True
        )
        return place if spec.type == "local" else MeteredPlace(place, self._store.meter)

    def add(self, step: DoneStep) -> None:
        """A step of the build is done; its layer may go now where all layers are wanted."""
        self.records.add(step)
        for upload in self.uploads:
            if upload.target.spec.mode == "max" and step.record.state != step.parent:
                self._put(upload, step.record.state)

    def close(self) -> None:
        """Stop what still goes on in the background: the build has ended, or failed."""
        for upload in self.uploads:
            upload.stop()
        self.records.close()
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
            if (path := self.records.files.get(layer.digest)) is not None:
                return open(path, "rb")
            from builder.store.arrival import need_blob

            need_blob(self._store, layer)
            return self._store.blobs.open(layer.digest)

        return opened

    # --- the end ---

    def finish(
        self,
        upload: Upload,
        chain: frozenset[bytes],
        check: Callable[[], object] = lambda: None,
        limits: Limits = AT_THE_END,
    ) -> tuple[int, int]:
        """Bring an export to its end: what is missing of the layers, then the records of those that are there. `chain` are the
        states of the result. How many layers are there, and how many there should be: fewer if that would take too long.

        Raises what went wrong. `check` is asked now and then, and raises if the build is to stop.
        """
        target = upload.target
        upload.turn.begin()
        upload.end()
        steps = self.records.chosen(target.spec, chain)
        states = {step.record.state for step in steps if step.record.state != step.parent}
        for state in states:
            self._put(upload, state)
        for step in steps:
            if step.takes_files:
                upload.put(partial(self.records.send_listing, target, step, self._opener))
        if target.spec.mounts:
            # What is there of them is read where a place that says nothing is broken off, too.
            upload.put(partial(self.mounts.look, target))
        whole = upload.settle(check, limits)
        missing = 0 if whole or not target.spec.mounts else len(self.mounts.ids)
        mounts = self.mounts.of(target) if whole and target.failed is None else ()
        packs = {blob.digest: blob for mount in mounts for blob in mount.blobs}
        for blob in packs.values():
            upload.put(partial(target.send, blob, self._opener(blob)))
        whole = whole and upload.settle(check, limits)
        if target.failed is not None:
            failed, target.failed = target.failed, None
            upload.taken.clear()  # the build may begin again
            raise failed
        wanted = {target.layers[state].digest if state in target.layers else state for state in states}
        there = len(wanted & target.there) + len(packs.keys() & target.there)
        if whole or there:
            if not whole:
                target.renew()
            late = threading.Timer(limits.last, target.place.abort)
            late.start()
            end = time.monotonic() + limits.last

            def waiting() -> None:
                check()
                if time.monotonic() >= end:
                    raise BuilderError("another build writes its records there, and takes too long")

            def last(put: Callable[[], object], same: bool) -> None:
                upload.turn.write(put, waiting, same=same)

            try:
                self.records.write(target, steps, target.layers, self.mounts.whole(target, mounts), last)
            finally:
                late.cancel()
        return there, len(wanted) + len(packs) + missing


def export_caches(session: Session, result: StageResult) -> None:
    """Write all remote caches of a build that is done. Failures are warnings, but for those the caller wants as errors."""
    export = session.remote.export if session.remote is not None else None
    if export is None:
        return
    if any(upload.target.spec.mounts for upload in export.uploads):
        from builder.engine.cache_mounts import mounts_of

        export.mounts.ids = mounts_of(session)
    chain = frozenset(state.id for state in session.store.chain(result.state))
    if export.later:
        from builder.engine.cache_handover import hand_over

        hand_over(session, export, chain)
    for upload in export.uploads:
        _export(session, export, upload, chain)


def _export(session: Session, export: CacheExport, upload: Upload, chain: frozenset[bytes]) -> None:
    spec = upload.target.spec
    reporter = session.events.start(f"exporting cache to {spec}", "")

    begin, said = time.monotonic(), False

    def check() -> None:
        nonlocal said
        session.check()
        if upload.target.wanted:
            reporter.sent_progress("to the cache", upload.target.moved, upload.target.wanted)
        if not said and time.monotonic() - begin >= _PATIENCE:
            said = True
            reporter.output("stderr", _WAITING)

    try:
        session.check()
        require_whole(*export.finish(upload, chain, check))
    except (Cancelled, DamageError):
        reporter.finish(Outcome.CANCELLED)
        raise
    except Exception as error:  # whatever a place's library raises
        message = failure_of(error)
        if spec.fails:
            reporter.finish(Outcome.FAILED, error=message)
            raise BuilderError(f"the cache cannot be exported to {spec}: {message}") from None
        session.events.warn(f"cache export failed: {spec}: {message}")
    reporter.finish(Outcome.DONE)


def require_whole(there: int, wanted: int) -> None:
    """A `BuilderError` if layers are missing at an export's end."""
    if there < wanted:
        raise BuilderError(
            f"it is too slow: {there} of {wanted} layers are there, with their records; the next build sends more"
        )


def failure_of(error: Exception) -> str:
    """How an export's failure is told."""
    return error.message if isinstance(error, BuilderError) else f"{type(error).__name__}: {error}"
