"""Writing remote caches: layers are compressed and sent in the background while the build goes on, records at its end.

Only what a place lacks is sent, and nothing at all if its records are those of this build. A failure is a warning, unless
the caller asked for an error.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from builder.cache.document import RECORDS, Document, RemoteMount, RemoteRecord, parse, render
from builder.cache.metered import MeteredPlace
from builder.cache.place import Place, open_place
from builder.cache.spec import CacheSpec
from builder.cache.target import Target
from builder.digest import Digest
from builder.engine.request import BuildRequest
from builder.engine.session import Session
from builder.engine.stage import StageResult
from builder.errors import BuilderError, CacheLostError, Cancelled, DamageError
from builder.events import Outcome
from builder.execute.layer import ensure_layer, promised_layer
from builder.image.manifest import Descriptor, Manifest, describe, render_manifest
from builder.store.layers import Layer
from builder.store.states import SCRATCH
from builder.store.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from builder.engine.remote_cache import DoneStep, RemoteCache

Warn = Callable[[str], None]
_POLITENESS = 10
_AT_ONCE = 4


class CacheExport:
    """All caches that a build writes to."""

    def __init__(self, store: Store, remote: RemoteCache, request: BuildRequest, warn: Warn) -> None:
        self._store, self._remote, self._warn = store, remote, warn
        self.inline = [spec for spec in request.cache_to if spec.type == "inline"]
        self._signers = [(spec, _signing_key(spec)) for spec in request.cache_to]
        self.targets = [
            Target(spec, self._place(spec, request)) for spec in request.cache_to if spec.type != "inline"
        ]
        self.mounts: dict[str, str] = {}
        """The ids of this build's cache mounts by the names of their folders."""
        self._mounted: dict[tuple[str, str], RemoteMount] = {}
        self._files: dict[Digest, str] = {}
        self._stack = ExitStack()
        self._steps: list[DoneStep] = []
        self._lock = threading.Lock()
        # States whose layers are to go, and the end. Not a `queue`, which brings more than it gives here.
        self._waiting: list[bytes | None] = []
        self._arrived = threading.Condition()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def _place(self, spec: CacheSpec, request: BuildRequest) -> Place:
        place = open_place(spec, docker_config=request.docker_config, write=True)
        return place if spec.type == "local" else MeteredPlace(place, self._store.meter)

    def add(self, step: DoneStep) -> None:
        """A step of the build is done; its layer may go now where all layers are wanted."""
        with self._lock:
            self._steps.append(step)
            if step.record.state == step.parent or not any(t.spec.mode == "max" for t in self.targets):
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="cache-export", daemon=True)
                self._thread.start()
        self._put(step.record.state)

    def close(self) -> None:
        """Stop what still goes on in the background: the build has ended, or failed."""
        self._stopped.set()
        self._put(None)
        if self._thread is not None:
            self._thread.join()
        self._stack.close()
        for target in self.targets:
            target.place.close()

    # --- layers ---

    def _work(self) -> None:
        # Behind the steps of the build, which are what people wait for.
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _POLITENESS)
        except OSError:
            pass
        while (state := self._take()) is not None and not self._stopped.is_set():
            for target in self.targets:
                if target.spec.mode == "max":
                    self._guarded(target, partial(self._send_layer, target, state))

    def _put(self, state: bytes | None) -> None:
        with self._arrived:
            self._waiting.append(state)
            self._arrived.notify()

    def _take(self) -> bytes | None:
        with self._arrived:
            while not self._waiting:
                self._arrived.wait()
            return self._waiting.pop(0)

    def _guarded(self, target: Target, work: Callable[[], object]) -> None:
        """Work for a target whose failure ends its export and nothing else."""
        if target.failed is not None:
            return
        try:
            work()
        except CacheLostError:
            pass  # of a cache that is read: the step is carried out after all, and comes again
        except BuilderError as error:
            target.failed = error
        except OSError as error:
            target.failed = BuilderError(error.strerror or str(error))
        except Exception as error:  # whatever a place's library raises
            target.failed = BuilderError(f"{type(error).__name__}: {str(error)[:200]}")

    def _send_layer(self, target: Target, state: bytes) -> None:
        layer = self._layer(target, state)
        target.send(layer, self._opener(layer))

    def _layer(self, target: Target, state: bytes) -> Layer:
        """The layer of a state; of a promised one what is known of it, so that it is fetched only if it has to be sent."""
        return promised_layer(self._store, state) or ensure_layer(
            self._store, state, compression=target.spec.compression, proven=True
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
        self, target: Target, chain: frozenset[bytes], check: Callable[[], object] = lambda: None
    ) -> None:
        """Bring an export to its end: what is missing of the layers, then the records. `chain` are the states of the result.

        Raises what went wrong. `check` is asked now and then, and raises if the build is to stop.
        """
        self._wait(check)
        if target.failed is not None:
            raise target.failed
        records = []
        for step in self._chosen(target.spec, chain):
            record = self._record(step, target)
            records.append(record)
        mounts = self._mounts(target)
        data = render(Document(target.spec.scope, tuple(records), mounts))
        parse(data)  # what nobody could read is not written
        layers = {record.layer.digest: record.layer for record in records if record.layer is not None}
        layers |= {pack.digest: pack for mount in mounts for pack in mount.packs}
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
        self._send_all(target, list(layers.values()))
        check()
        target.send(describe(data, RECORDS), lambda: io.BytesIO(data))
        target.place.put_manifest(manifest)

    def inline_document(self, spec: CacheSpec, chain: frozenset[bytes]) -> tuple[tuple[str, str], ...]:
        """The annotations of an image that carries its own records; its layers are those of the image."""
        from builder.cache.inline import ANNOTATION, pack

        records = [self._record(step, None) for step in self._chosen(spec, chain)]
        data = render(Document(spec.scope, tuple(records)))
        return ((ANNOTATION, pack(data)), *self._signature(spec, data))

    def _send_all(self, target: Target, layers: list[Layer]) -> None:
        """Bring layers there, several at once: most of the time is waiting for answers."""
        target.look()
        missing = [layer for layer in layers if layer.digest not in target.there]
        if not missing:
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cache-export") as pool:
            for _ in pool.map(lambda layer: target.send(layer, self._opener(layer)), missing):
                pass

    def _wait(self, check: Callable[[], object]) -> None:
        """Until all that was given to the background is done."""
        if self._thread is None:
            return
        self._put(None)
        while self._thread.is_alive():
            self._thread.join(0.1)
            check()
        self._thread = None

    def _chosen(self, spec: CacheSpec, chain: frozenset[bytes]) -> Iterable[DoneStep]:
        """The steps whose records go there: all, or those that the result stands on. One for each key."""
        with self._lock:
            steps = list(self._steps)
        found: dict[str, DoneStep] = {}
        for step in steps:
            if spec.mode == "max" or step.record.state in chain or step.record.state == SCRATCH:
                found[step.shared[-1].key] = step
        return found.values()

    def _record(self, step: DoneStep, target: Target | None) -> RemoteRecord:
        record, layer, changes, entries = step.record, None, None, 0
        if record.state != step.parent:
            changes = self._remote.portables.changes(record.state)
            state = self._store.states.get(record.state)
            entries = state.entries if state is not None else 0
            layer = (
                self._layer(target, record.state)
                if target is not None
                else promised_layer(self._store, record.state)
                or ensure_layer(self._store, record.state, proven=True)
            )
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
    if any(target.spec.mounts for target in export.targets):
        from builder.engine.cache_mounts import mounts_of

        export.mounts = mounts_of(session)
    chain = frozenset(state.id for state in session.store.chain(result.state))
    for target in export.targets:
        reporter = session.events.start(f"exporting cache to {target.spec}", "")
        try:
            session.check()
            export.finish(target, chain, session.check)
        except (Cancelled, DamageError):
            reporter.finish(Outcome.CANCELLED)
            raise
        except Exception as error:  # whatever a place's library raises
            message = error.message if isinstance(error, BuilderError) else f"{type(error).__name__}: {error}"
            if target.spec.fails:
                reporter.finish(Outcome.FAILED, error=message)
                raise BuilderError(f"the cache cannot be exported to {target.spec}: {message}") from None
            session.events.warn(f"cache export failed: {target.spec}: {message}")
        reporter.finish(Outcome.DONE)


def _signing_key(spec: CacheSpec) -> Ed25519PrivateKey | None:
    if not spec.get("sign"):
        return None
    from builder.cache.signing import read_private

    return read_private(spec.get("sign"))
