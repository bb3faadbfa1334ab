"""What each step of a build would find: its key where all that it depends on is known, else what it waits for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from builder.cache.explain import explain
from builder.cache.key import SCRATCH, Part, key_of
from builder.engine.base import image_document
from builder.engine.control import UNTRUSTED, decided_anew, expired, refusal
from builder.engine.foretell_images import ForeseenImages, PlannedSteps
from builder.engine.nearest import nearest_record
from builder.engine.planning import PlannedStep, Verdict
from builder.engine.reasons import Above, last_changed, why_missed
from builder.engine.reporter import StepReporter
from builder.engine.session import Session
from builder.engine.stage import folder_slot, folder_step, slot_of, step_slot
from builder.engine.work import work_for
from builder.errors import BuilderError, BuildFileError, NotFetched
from builder.events import Reason
from builder.graph.places import locate
from builder.graph.plan import base_title
from builder.graph.stages import ContextBase, ImageBase, ScratchBase, Stage, StageBase
from builder.graph.steps import CopyStep, FromImage, FromNamed, FromScratch, FromStage, RunStep, Step
from builder.graph.titles import source_title
from builder.image.config import ImageConfig, empty_config
from builder.remote.addresses import is_remote
from builder.store.images import StoredImage
from builder.store.records import Record
from builder.value import dataclass

TYPE_CHECKING = False


class _NotKnown(BuilderError):
    """The files that a step takes are not known before `step` of the plan was carried out."""

    def __init__(self, step: PlannedStep) -> None:
        super().__init__(step.title)
        self.step = step


if TYPE_CHECKING:
    from builder.cache.document import RemoteRecord
    from builder.engine.shared_steps import SharedKey
    from builder.engine.work import Work

    # What was found of a step: why, the record that it is or is compared with, its key, and the cache that has it.
    _Look = tuple[Verdict, tuple[Reason, ...], Record | RemoteRecord | None, bytes, str]


@dataclass(frozen=True, slots=True)
class _Foreseen:
    """What a stage comes to: its state, None if nobody knows it before `waits_for` was carried out."""

    state: bytes | None
    config: ImageConfig
    args: tuple[tuple[str, str | None], ...]
    above: tuple[Above, ...]
    waits_for: PlannedStep | None


class Foretelling:
    """Goes through the stages of a session as a build would, and carries out nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._steps = PlannedSteps(session)
        self._missed: dict[bytes, PlannedStep] = {}
        self._stages: dict[int, _Foreseen] = {}
        self._sources: dict[tuple[str, str], StoredImage | PlannedStep] = {}
        self._images = ForeseenImages(session, self._steps)

    def steps(self) -> tuple[PlannedStep, ...]:
        """Every step of the stages that are needed."""
        with ExitStack() as stack:
            self._stack = stack
            for index in self._session.graph.needed:
                self._stages[index] = self._stage(self._session.graph.stages[index])
        return self._steps.all()

    def _list(self, work: Work) -> str:
        """Write what a step takes into files that are gone at the end, and not in the store; a path beside them, or nothing."""
        from tempfile import TemporaryDirectory  # late: few plans have a COPY that misses

        folder = self._stack.enter_context(TemporaryDirectory(prefix="pybuild-plan-"))
        names = work.save_listing(folder, "listing")
        return os.path.join(folder, names) if names else ""

    def _stage(self, stage: Stage) -> _Foreseen:
        base = self._base(stage)
        try:
            plan = self._session.plans.of(stage.index, base.config, base.args)
        except BuildFileError:
            if base.waits_for is None:
                raise
            # What the base sets may decide about words: only a build that has it can tell.
            planned = self._steps.add(
                stage,
                f"[{stage.label or stage.name or stage.index}] all steps",
                stage.span.line,
                Verdict.DEPENDS,
                reasons=(_depends(base.waits_for),),
            )
            return _Foreseen(None, base.config, base.args, base.above, planned)
        self._session.lines[slot_of(self._session, stage, "")] = plan.steps
        state, waits_for, above = base.state, base.waits_for, list(base.above)
        for step in plan.steps:
            planned, state = self._step(stage, step, state, waits_for, above)
            waits_for = None if state is not None else planned
            changed = planned.verdict is not Verdict.HIT
            above.append(Above(planned.number, planned.title, state or SCRATCH, changed))
        return _Foreseen(state, plan.config, plan.args, tuple(above), waits_for)

    # --- bases ---

    def _base(self, stage: Stage) -> _Foreseen:
        if isinstance(stage.base, ScratchBase):
            return _Foreseen(SCRATCH, empty_config(stage.platform), (), (), None)
        if isinstance(stage.base, StageBase):
            return self._stages[stage.base.index]
        title = base_title(stage)
        slot = slot_of(self._session, stage, "FROM")
        if isinstance(stage.base, ContextBase) and stage.base.name in self._session.inputs.folders:
            step = folder_step(stage, stage.base.name, title)
            planned, state = self._step(stage, step, SCRATCH, None, [], slot=folder_slot(stage.base.name))
            above = Above(planned.number, title, state or SCRATCH, planned.verdict is not Verdict.HIT)
            waits_for = None if state is not None else planned
            return _Foreseen(state, empty_config(stage.platform), (), (above,), waits_for)
        name = stage.base.reference if isinstance(stage.base, ImageBase) else stage.base.name
        found = self._images.find(
            stage, name, title, slot, stage.span.line, named=isinstance(stage.base, ContextBase)
        )
        if isinstance(found, PlannedStep):
            above = Above(found.number, title, SCRATCH, True)
            return _Foreseen(None, empty_config(stage.platform), (), (above,), found)
        config = image_document(self._session, found).config
        another = self._steps.was_changed(title)
        return _Foreseen(
            found.state, config, (), (Above(self._steps.count(), title, found.state, another),), None
        )

    # --- steps ---

    def _step(
        self,
        stage: Stage,
        step: Step,
        state: bytes | None,
        waits_for: PlannedStep | None,
        above: Sequence[Above],
        *,
        slot: str = "",
    ) -> tuple[PlannedStep, bytes | None]:
        """One step of the plan, and the state that it leads to, None if that is not known."""
        session = self._session
        slot = slot or step_slot(session, stage, step)
        sources: dict[str, Above] = {}
        more: dict[str, object] = {"slot": slot}
        refused = refusal(session, stage, step)
        far = _far_sources(step)
        reasons: tuple[Reason, ...]
        if refused:
            verdict, reasons = Verdict.MISS, (Reason("no-cache", "", refused),)
        elif why := decided_anew(step.control):
            verdict, reasons = Verdict.MISS, (Reason("no-cache", "", why),)
        elif step.control.recheck:
            verdict = Verdict.DEPENDS
            reasons = (Reason("depends", "recheck", f"depends on what it says now: {step.control.command}"),)
        elif far:
            verdict, reasons = (
                Verdict.DEPENDS,
                (Reason("changed", f"url {far}", f"only a build asks what is at {far}"),),
            )
        else:
            try:
                verdict, reasons, record, key, origin = self._look(
                    stage, step, slot, state, waits_for, above, sources
                )
                more["origin"] = origin
            except _NotKnown as unknown:
                verdict, reasons, record, key = Verdict.DEPENDS, (_depends(unknown.step),), None, b""
            except NotFetched as unknown:
                verdict, reasons, record, key = (
                    Verdict.DEPENDS,
                    (Reason("changed", "context", unknown.message),),
                    None,
                    b"",
                )
            more["key"] = key.hex()
            twin = self._missed.get(key) if key and verdict is Verdict.MISS else None
            if twin is not None:  # another stage has the same step, which is carried out once
                verdict, reasons = Verdict.DEPENDS, (_depends(twin),)
            if record is not None:
                more["seconds"] = record.seconds
            if verdict is Verdict.HIT:
                assert isinstance(record, Record)
                return self._steps.add(stage, step.title, step.span.line, verdict, **more), record.state
        more.setdefault("seconds", self._steps.seconds(slot, step.title, stage))
        planned = self._steps.add(stage, step.title, step.span.line, verdict, reasons=reasons, **more)
        if verdict is Verdict.MISS and planned.key:
            self._missed[bytes.fromhex(planned.key)] = planned
        return planned, None

    def _look(
        self,
        stage: Stage,
        step: Step,
        slot: str,
        state: bytes | None,
        waits_for: PlannedStep | None,
        above: Sequence[Above],
        sources: dict[str, Above],
    ) -> _Look:
        """Compute a step's key and look it up, or compare all but the state below if that is not known."""
        session, remote = self._session, self._session.remote
        work = work_for(
            session,
            StepReporter(session.events, 0, step.title),
            step,
            state or SCRATCH,
            str(stage.platform),
            lambda origin: self._source(stage, origin, sources),
        )
        try:
            keys: list[bytes] = []
            shared: list[SharedKey] = []
            parts: tuple[Part, ...] = ()
            for parts in work.key_parts():
                keys.append(key_of(parts, session.store.secret))
                if remote is not None:
                    record, origin = self._found_anywhere(step, work, slot, parts, state, keys[-1], shared)
                else:
                    record, origin = self._record(keys[-1]) if state is not None else None, ""
                if record is None:
                    continue
                if why := expired(step.control, record):
                    return Verdict.MISS, (Reason("expired", "", why),), record, keys[-1], ""
                return Verdict.HIT, (), record, keys[-1], origin
            if state is None:
                assert waits_for is not None
                return self._guess(slot, step.title, parts, shared, waits_for)
            takes = isinstance(step, CopyStep) or (isinstance(step, RunStep) and bool(step.mounts))
            miss = why_missed(
                *(session, slot, step.title, parts, keys),
                above=above,
                sources=sources,
                listing=self._list(work) if takes else "",
                shown=work.shown,
            )
            if remote is None:
                return Verdict.MISS, miss.reasons, miss.compared, keys[-1], ""
            if not remote.trusts(keys[-1]):
                return Verdict.MISS, (Reason("no-cache", "", UNTRUSTED),), miss.compared, keys[-1], ""
            list_now = partial(work.save_shared_listing, remote.portables)
            miss = remote.reasons.complete(miss, slot, parts, shared, above, sources, list_now, work.shown)
            return (
                Verdict.MISS,
                miss.reasons,
                miss.compared or remote.reasons.nearest(slot, shared),
                keys[-1],
                "",
            )
        except BuilderError as error:
            if error.location is None and not isinstance(error, _NotKnown | NotFetched):
                error.location = locate(session.graph.file, step.span)
            raise
        finally:
            work.close()

    def _found_anywhere(
        self,
        step: Step,
        work: Work,
        slot: str,
        parts: tuple[Part, ...],
        state: bytes | None,
        key: bytes,
        shared: list[SharedKey],
    ) -> tuple[Record | None, str]:
        """The record of a key in the store or a remote cache, and that cache; its portable form is added to `shared` if the store
        has none that counts.
        """
        remote = self._session.remote
        assert remote is not None
        record = self._record(key) if state is not None else None
        if record is not None:
            remote.spared(record)
            if not expired(step.control, record):
                return record, ""
        shared.append(remote.shared_key(work.portable_parts(remote.portables)))
        found = remote.look_up(shared[-1], key, slot, parts, state) if state is not None else None
        if found is None or (record is not None and expired(step.control, found.record)):
            return record, ""
        return found.record, found.origin

    def _record(self, key: bytes) -> Record | None:
        """The store's own record of a key, if what it leads to can be had."""
        store = self._session.store
        record, remote = store.records.get(key), self._session.remote
        if record is not None and remote is not None and not remote.trusts(key):
            return None
        if record is None or record.state == SCRATCH or store.is_available(record.state):
            return record
        return None

    def _guess(
        self,
        slot: str,
        title: str,
        parts: tuple[Part, ...],
        shared: Sequence[SharedKey],
        waits_for: PlannedStep,
    ) -> _Look:
        """A step whose base is not known: a miss if all else fits no record, else it depends on that base."""
        own, remote = _own(parts), self._session.remote
        record = nearest_record(self._session, slot, title, parts, without="parent")
        before = None if record is None else _own(tuple(Part(*fields) for fields in record.parts))
        if before is not None and set(before) == set(own):
            return Verdict.DEPENDS, (_depends(waits_for),), record, b"", ""
        there = remote.reasons.nearest(slot, shared, without="parent") if remote is not None else None
        if there is not None:
            portable, known = _own(shared[-1].parts), _own(there.parts)
            if set(portable) == set(known):
                return Verdict.DEPENDS, (_depends(waits_for),), there, b"", ""
            if before is None or len(set(known).intersection(portable)) > len(set(before).intersection(own)):
                return Verdict.MISS, explain(portable, known), there, b"", ""
        return Verdict.MISS, explain(own, before), record, b"", ""

    def _source(self, stage: Stage, origin: object, sources: dict[str, Above]) -> bytes:
        """The files that `--from` names; `_NotKnown` if only a build can know them."""
        if isinstance(origin, FromStage):
            found = self._stages[origin.index]
            if found.state is None:
                assert found.waits_for is not None
                raise _NotKnown(found.waits_for)
            changed = last_changed(found.above)
            if changed is not None:
                sources[found.state.hex()] = changed
            return found.state
        if isinstance(origin, FromScratch):
            return SCRATCH
        assert isinstance(origin, FromImage | FromNamed)
        name = origin.reference if isinstance(origin, FromImage) else origin.name
        image = self._sources.get((stage.name or "", name))
        if image is None:
            image = self._images.find(
                stage,
                name,
                source_title(stage, name),
                slot_of(self._session, stage, f"FROM {name}"),
                0,
                named=isinstance(origin, FromNamed),
            )
            self._sources[stage.name or "", name] = image
        if isinstance(image, PlannedStep):
            raise _NotKnown(image)
        return image.state


def _far_sources(step: Step) -> str:
    """A source of an ADD that lies elsewhere, empty if none does."""
    if not isinstance(step, CopyStep) or step.keyword != "ADD":
        return ""
    from builder.remote.addresses import without_password

    return next((without_password(source) for source in step.sources if is_remote(source)), "")


def _depends(step: PlannedStep) -> Reason:
    return Reason("depends", "parent", f"depends on step {step.number}: {step.title}", step.number)


def _own(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """All parts but the state below."""
    return tuple(part for part in parts if part.kind != "parent")
