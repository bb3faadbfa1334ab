"""What a build tells of itself beside its steps: its stages, the bytes it moved, what the caller set on its result, its end."""

from __future__ import annotations

import time

from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.engine.result import BuildResult
from builder.engine.session import Session
from builder.events import BuildFinished, StageNode, StagesPlanned, Traffic
from builder.graph.stages import Graph
from builder.store.store import Store
from builder.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.engine.conditions import Requirement


def ending(result: BuildResult | None, seconds: float, traffic: Traffic, build: int) -> BuildFinished:
    """The last event."""
    if result is None:
        return BuildFinished(time.time(), seconds, False, build=build, traffic=traffic)
    return BuildFinished(
        time.time(),
        seconds,
        True,
        result.image_id,
        result.names,
        build,
        layers=result.layers,
        traffic=traffic,
        conditions=result.conditions,
    )


def required_by(request: BuildRequest) -> tuple[Requirement, ...]:
    """The caller's conditions, read; a `UsageError` for one that cannot be meant."""
    if not request.require:
        return ()
    # Late: most builds have no conditions.
    from builder.engine.conditions import parse_conditions

    return parse_conditions(request.require)


def stage_nodes(graph: Graph) -> tuple[StageNode, ...]:
    """The stages that are needed, as reports show them."""
    return tuple(
        StageNode(
            index,
            graph.stages[index].name or f"stage-{index}",
            graph.stages[index].base_text,
            graph.stages[index].dependencies,
            index == graph.target,
        )
        for index in sorted(graph.needed)
    )


def tell_stages(session: Session, required: tuple[Requirement, ...]) -> None:
    """Tell which stages there are, and refuse conditions on others."""
    stages = stage_nodes(session.graph)
    session.events.send(StagesPlanned(time.time(), session.graph.file.name, stages))
    if required:
        from builder.engine.conditions import check_stages

        check_stages(required, stages)


def traffic_of(store: Store, events: Events) -> Traffic:
    """The bytes that were moved by now."""
    fetched, pushed = events.transferred()
    moved = store.meter.traffic
    return replace(moved, fetched=moved.fetched + fetched, pushed=moved.pushed + pushed)


def judged(session: Session, result: BuildResult, required: tuple[Requirement, ...]) -> BuildResult:
    """The result with what became of the caller's conditions."""
    from builder.engine.conditions import Facts, judge

    events = session.events
    facts = Facts(
        steps=[(events.started[end.step], end) for end in events.finished],
        stages=stage_nodes(session.graph),
        seconds=result.seconds,
        layers=result.layers,
        traffic=result.traffic,
        warnings=len(events.warnings),
    )
    return replace(result, conditions=judge(required, facts))
