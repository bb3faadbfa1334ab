"""One stage, from its base to its last step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from builder.cache.key import SCRATCH
from builder.engine.base import Base, context_image, image_base, named_image, report_base, scratch_base
from builder.engine.control import refusal
from builder.engine.moment import moment, seconds_of
from builder.engine.reasons import Above, last_changed, why_another_base
from builder.engine.reporter import StepReporter
from builder.engine.session import Session, Stand
from builder.engine.step import Place, perform
from builder.engine.work import work_for
from builder.errors import BuilderError, Cancelled, ImageError, RegistryError, UsageError
from builder.events import Outcome
from builder.graph.places import locate, narrow, suggest
from builder.graph.plan import base_title
from builder.graph.stages import ContextBase, ImageBase, ScratchBase, Stage, StageBase, unknown_image_hint
from builder.graph.steps import CopyStep, FromImage, FromNamed, FromScratch, FromStage, HistoryItem, Step
from builder.graph.titles import source_title
from builder.image.config import ImageConfig
from builder.image.history import COMMENT, HistoryEntry
from builder.value import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.buildfile.syntax import Span
    from builder.engine.copy_work import StateOf
    from builder.engine.work import Work


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage came to: its files (a state), its config, how it got there and when its newest files were made.

    `base` is the state of the image that it stands on, and the first `inherited` entries of the history are that image's;
    neither is this build's to change.
    `above` is the way of its files: its base and its steps, the lowest first.
    """

    state: bytes
    config: ImageConfig
    history: tuple[HistoryEntry, ...]
    created: str
    args: tuple[tuple[str, str | None], ...] = ()
    base: bytes = SCRATCH
    inherited: int = 0
    above: tuple[Above, ...] = ()


def run_stage(session: Session, index: int, other: Callable[[int], StageResult]) -> StageResult:
    """Bring a stage to its end; `other` gives the results of stages that it needs."""
    graph = session.graph
    stage = graph.stages[index]
    base, base_args = _base(session, stage, other)
    plan = session.plans.of(index, base.config, base_args)
    session.plans.refuse_stage(index, session.request.network, session.request.allow)
    for message, span in plan.warnings:
        session.events.warn(message, f"{graph.file.name}:{span.line}")

    session.lines[slot_of(session, stage, "")] = plan.steps
    states: list[tuple[bytes, bytes]] = []
    created = seconds_of(base.created)
    state, above = base.state, [*base.above]
    for step in plan.steps:
        sources: dict[str, Above] = {}
        place = Place(
            step_slot(session, stage, step),
            locate(graph.file, step.span),
            refusal(session, stage, step),
            step.control,
            above,
            sources,
        )
        reporter = session.events.start(
            step.title, stage.name or "", step.span.line, slot=place.slot, of=index
        )
        state_of = partial(_source, session, stage, step.span, partial(_waited, reporter, other), sources)
        try:
            work = work_for(session, reporter, step, state, str(stage.platform), state_of)
        except BuilderError as error:
            outcome = Outcome.CANCELLED if isinstance(error, Cancelled) else Outcome.FAILED
            reporter.finish(outcome, error=error.message)
            raise
        done = perform(session, place, reporter, state, work)
        if done.made and done.state != state:
            # Late: a cached build makes none.
            from builder.engine.early import begin_layer

            begin_layer(session, index, done.state)
        if session.request.verify is not None:
            _verify(session, Stand(step, state, stage.name or "", index), stage, state_of)
        states.append((state, done.state))
        state = done.state
        above.append(done.twin or Above(reporter.number, reporter.title, state, done.changed))
        created = max(created, done.created)
    made = moment(created) if plan.steps else base.created
    history = tuple(_entry(item, states, made) for item in plan.history)
    return StageResult(
        state,
        plan.config,
        base.history + history,
        made,
        plan.args,
        base=base.image_state,
        inherited=base.inherited,
        above=tuple(above),
    )


def _waited(reporter: StepReporter, other: Callable[[int], StageResult], index: int) -> StageResult:
    """The result of another stage, which a step waits for."""
    with reporter.waiting():
        try:
            return other(index)
        except BuilderError:
            reporter.blocked = True
            raise


def step_slot(session: Session, stage: Stage, step: Step) -> str:
    """What names a step across builds: the build file, the stage, the instruction."""
    return slot_of(session, stage, step.keyword if isinstance(step, CopyStep) else type(step).__name__)


def slot_of(session: Session, stage: Stage, instruction: str) -> str:
    """The slot of an instruction of a stage; see `step_slot`."""
    return f"{session.inputs.slot}\n{stage.name or stage.index}\n{instruction}"


def _verify(session: Session, stand: Stand, stage: Stage, state_of: StateOf) -> None:
    """Run a step that was done twice more, if it is one of those that are to be verified."""
    # Late: builds do not.
    from builder.engine.verify import is_chosen, verify_step

    def make_work(reporter: StepReporter) -> Work:
        return work_for(session, reporter, stand.step, stand.parent, str(stage.platform), state_of)

    session.stood.append(stand)
    if is_chosen(session.request.verify or (), stand):
        session.verified.append(verify_step(session, stand, make_work))


def _entry(item: HistoryItem, states: list[tuple[bytes, bytes]], created: str) -> HistoryEntry:
    """A line of history; a step that changed nothing has no layer."""
    empty = item.step is None or states[item.step][0] == states[item.step][1]
    return HistoryEntry(created, item.created_by, comment=COMMENT, empty_layer=empty)


def _base(
    session: Session, stage: Stage, other: Callable[[int], StageResult]
) -> tuple[Base, tuple[tuple[str, str | None], ...]]:
    """The base of a stage, and the arguments it inherits."""
    if isinstance(stage.base, ScratchBase):
        return scratch_base(stage.platform), ()
    if isinstance(stage.base, StageBase):
        result = other(stage.base.index)
        base = Base(result.state, result.config, result.history, result.created, above=result.above)
        return replace(base, image_state=result.base, inherited=result.inherited), result.args
    reporter = session.events.start(
        base_title(stage),
        stage.name or "",
        stage.span.line,
        slot=slot_of(session, stage, "FROM"),
        of=stage.index,
    )
    try:
        session.check()
        if isinstance(stage.base, ImageBase):
            image = named_image(session, stage.base.reference, stage.platform, reporter)
        else:
            found = context_image(session, stage.base.name, stage.platform, reporter)
            if found is None:
                return _folder_base(session, stage, stage.base, reporter), ()
            image = found
        base = image_base(session, image)
        above = report_base(
            session, reporter, stage, base, known=image.manifest not in session.store.images.fresh
        )
    except BuilderError as error:
        if error.location is None:
            file = session.graph.file
            error.location = locate(file, narrow(file, stage.span, stage.base_text))
        if isinstance(error, ImageError | RegistryError | UsageError) and isinstance(stage.base, ImageBase):
            error.hint = unknown_image_hint(session.graph, stage) or error.hint
        reporter.finish(
            Outcome.CANCELLED if isinstance(error, Cancelled) else Outcome.FAILED, error=error.message
        )
        raise
    if stage.replaced:
        base = replace(base, config=replace(base.config, onbuild=()))
    return replace(base, above=(above,)), ()


def _folder_base(session: Session, stage: Stage, named: ContextBase, reporter: StepReporter) -> Base:
    """A folder as base: its files, copied to the root of an empty file system."""
    step = folder_step(stage, named.name, reporter.title)
    work = work_for(session, reporter, step, SCRATCH, str(stage.platform), lambda _: SCRATCH)
    place = Place(
        folder_slot(named.name),
        locate(session.graph.file, stage.span),
        refusal(session, stage, step),
    )
    done = perform(session, place, reporter, SCRATCH, work)
    base = scratch_base(stage.platform)
    created = moment(done.created)
    entry = HistoryEntry(
        created, f"COPY {named.name} / # buildkit", comment=COMMENT, empty_layer=done.state == SCRATCH
    )
    above = Above(reporter.number, reporter.title, done.state, done.changed)
    return replace(base, state=done.state, history=(entry,), created=created, above=(above,))


def folder_step(stage: Stage, name: str, title: str) -> CopyStep:
    """The step that brings a folder as base: a copy of all that it holds."""
    return CopyStep(
        title=title,
        span=stage.span,
        keyword="COPY",
        origin=FromNamed(name),
        sources=("/",),
        inline=(),
        destination="/",
    )


def folder_slot(name: str) -> str:
    """What names the records of a folder that is a base."""
    return f"context {name}"


def _source(
    session: Session,
    stage: Stage,
    span: Span,
    other: Callable[[int], StageResult],
    sources: dict[str, Above],
    origin: object,
) -> bytes:
    """The files that `--from` names in the line at `span`; what made them another than before goes into `sources`."""
    if isinstance(origin, FromStage):
        result = other(origin.index)
        changed = last_changed(result.above)
        if changed is not None:
            sources[result.state.hex()] = changed
        return result.state
    if isinstance(origin, FromScratch):
        return SCRATCH
    assert isinstance(origin, FromImage | FromNamed)
    name = origin.reference if isinstance(origin, FromImage) else origin.name
    reporter = session.events.start(
        source_title(stage, name),
        stage.name or "",
        slot=slot_of(session, stage, f"FROM {name}"),
        of=stage.index,
    )
    try:
        if isinstance(origin, FromImage):
            image = named_image(session, origin.reference, stage.platform, reporter)
        else:
            found = context_image(session, origin.name, stage.platform, reporter)
            assert found is not None, "folders are opened by the copy itself"
            image = found
    except BuilderError as error:
        if error.location is None:
            file = session.graph.file
            error.location = locate(file, narrow(file, narrow(file, span, f"from={name}"), name))
        if isinstance(error, ImageError | RegistryError | UsageError) and isinstance(origin, FromImage):
            named = [other.name for other in session.graph.stages if other.name]
            error.hint = suggest(name, [*named, *session.request.build_contexts]) or error.hint
        reporter.finish(Outcome.FAILED, error=error.message)
        raise
    reporter.digest = str(image.manifest)
    another = why_another_base(session, reporter.slot, reporter.title, stage.name or "", reporter.digest)
    reporter.finish(Outcome.HIT, state=image.state, reasons=another)
    sources[image.state.hex()] = Above(reporter.number, reporter.title, image.state, bool(another))
    return image.state
