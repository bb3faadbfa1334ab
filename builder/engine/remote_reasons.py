"""Why remote caches have no record of a step: which of them failed, and what differs from the nearest record there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from builder.cache.document import RemoteRecord
from builder.cache.explain import MountChange, because, explain
from builder.cache.key import Part
from builder.cache.portable import Portables
from builder.engine.reasons import Above, Miss, changed_files, last_changed
from builder.engine.shared_steps import ListNow, SharedKey
from builder.errors import BuilderError
from builder.events import Reason
from builder.store.store import Store
from builder.value import replace

if TYPE_CHECKING:
    from builder.cache.imported import ImportedCache
    from builder.engine.mounted import Shown


class RemoteReasons:
    """What the caches of a build know of steps that they lack; `slot_of` says what a step's place is called there."""

    def __init__(
        self,
        store: Store,
        portables: Portables,
        sources: Sequence[ImportedCache],
        slot_of: Callable[[str], str],
    ) -> None:
        self._store, self._portables, self._sources, self._slot = store, portables, sources, slot_of

    def _failures(self) -> tuple[Reason, ...]:
        """The caches that could not be read, as reasons for a miss."""
        return tuple(
            Reason("import-failed", "", f"cache import failed: {source.spec}: {source.failed}")
            for source in self._sources
            if source.failed
        )

    def complete(
        self,
        miss: Miss,
        slot: str,
        parts: Sequence[Part],
        shared: Sequence[SharedKey],
        above: Sequence[Above],
        sources: Mapping[str, Above],
        list_now: ListNow,
        shown: Callable[[], Mapping[str, Shown]],
    ) -> Miss:
        """Why a step missed, as told by this store's records, with what the remote caches know: which of them failed, and what
        differs from a record there if that is nearer.
        """
        here = miss.compared.parts if miss.compared is not None else ()
        alike = len({(part.kind, part.name, part.value) for part in parts}.intersection(here))
        failed = self._failures()
        elsewhere = self._explain(slot, shared, above, sources, alike, list_now, shown)
        if not elsewhere and failed and miss.compared is None:
            return Miss(failed)
        reasons = elsewhere or miss.reasons
        if any(reason.step for reason in reasons):  # the step that is the cause tells of them
            failed = ()
        return replace(miss, reasons=(*reasons, *failed), elsewhere=bool(elsewhere))

    def _explain(
        self,
        slot: str,
        shared: Sequence[SharedKey],
        above: Sequence[Above],
        sources: Mapping[str, Above],
        alike: int,
        list_now: ListNow,
        shown: Callable[[], Mapping[str, Shown]],
    ) -> tuple[Reason, ...]:
        """Why the remote caches have no record of a step: what differs from the nearest that they have of it.

        Empty if they have none that shares more than `alike` parts; `above` is what the step stands on,
        `sources` what it takes files from.
        """
        found = self._nearest(slot, shared)
        if found is None:
            return ()
        closest, source = found
        if len(set(shared[-1].parts).intersection(closest.parts)) <= alike:
            return ()
        parent = Reason("changed", "parent", "the base or an earlier step is another")
        changed = last_changed(above)
        if changed is not None:
            parent = because(changed.step, changed.title)
        files: list[tuple[Reason, ...]] = []

        def changed_paths() -> tuple[Reason, ...]:
            if not files:
                files.append(self._changed_files(source, closest, list_now))
            return files[0]

        def changed_mount(before: Part, now: Part) -> MountChange:
            del before
            mount = shown().get(now.label)
            if mount is None:
                return MountChange()
            if mount.state:
                return MountChange(self._portables.of_state(bytes.fromhex(mount.state)).hex())
            return MountChange(
                "", mount.path, tuple(one for one in changed_paths() if _is_below(one, mount.path))
            )

        return explain(
            shared[-1].parts,
            closest.parts,
            parent=parent,
            changed_files=changed_paths,
            changed_mount=changed_mount,
            sources={
                self._portables.of_state(bytes.fromhex(state)).hex(): because(one.step, one.title)
                for state, one in sources.items()
                if one.changed
            },
        )

    def nearest(self, slot: str, shared: Sequence[SharedKey], *, without: str = "") -> RemoteRecord | None:
        """The record of a step that shares most parts with its last key, but for those of the kind `without`; None if no cache
        has a record of that step.
        """
        found = self._nearest(slot, shared, without)
        return None if found is None else found[0]

    def _nearest(
        self, slot: str, shared: Sequence[SharedKey], without: str = ""
    ) -> tuple[RemoteRecord, ImportedCache] | None:
        if not shared:
            return None
        records = [
            (record, source) for source in self._sources for record in source.of_slot(self._slot(slot))
        ]
        wanted = {part for part in shared[-1].parts if part.kind != without}
        called = {(part.kind, part.name) for part in wanted}

        def likeness(item: tuple[RemoteRecord, ImportedCache]) -> tuple[int, int]:
            has = item[0].parts
            return len(wanted.intersection(has)), len(
                called.intersection((one.kind, one.name) for one in has)
            )

        return max(records, key=likeness, default=None)

    def _changed_files(
        self, source: ImportedCache, closest: RemoteRecord, list_now: ListNow
    ) -> tuple[Reason, ...]:
        """The files that are not as they were on the machine that made a record; none if nobody can tell."""
        if closest.listing is None:
            return ()
        with self._store.new_run() as run:
            old, new = (os.path.join(run.scratch, name) for name in ("old", "new"))
            if not source.save_listing(closest.listing, old):
                return ()
            try:
                return changed_files(old, new, b"") if list_now(new) else ()
            except BuilderError:  # files have changed since
                return ()


def _is_below(reason: Reason, root: str) -> bool:
    """Whether a reason names a file that is at a path of a context or below it."""
    path = reason.part.removeprefix("file ")
    return not root or path == root or path.startswith(f"{root}/")
