"""What RUN lines are refused for, told before any step runs, all at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from builder.buildfile.syntax import Instruction, Literal, Mount, Onbuild, Run
from builder.errors import StepError
from builder.execute.consent import Wish, refusal, wish_of
from builder.graph.places import closer, locate
from builder.graph.stages import Graph, Stage, StageBase
from builder.graph.steps import RunStep, StagePlan


def refuse(graph: Graph, plans: dict[int, StagePlan | None], network: str, allow: Collection[str]) -> None:
    """Raise a `StepError`, with the further ones, for each RUN that cannot be carried out here or lacks the caller's consent.

    Of a stage without a plan, whose base is not known yet, the lines are looked at: what they ask for is hardly ever a variable.
    """
    found: dict[tuple[int, int, str], StepError] = {}
    for index, plan in plans.items():
        stage = graph.stages[index]
        if plan is None:
            wishes = [(line.span, _wish(line)) for line in _lines(graph, stage) if isinstance(line, Run)]
        else:
            wishes = [(step.span, wish_of(step)) for step in plan.steps if isinstance(step, RunStep)]
        for span, wish in wishes:
            for error in refusal(wish, network, allow):
                place = closer(graph.file, locate(graph.file, span), error.about)
                error.location = place
                found[place.line, place.column, error.message] = error
    if found:
        first, *others = [error for _, error in sorted(found.items())]
        first.others = tuple(others)
        raise first


def _lines(graph: Graph, stage: Stage) -> Iterator[Instruction]:
    """The lines of a stage, those that its base stage has for it first."""
    if isinstance(stage.base, StageBase):
        for line in graph.stages[stage.base.index].instructions:
            if isinstance(line, Onbuild) and line.instruction:
                yield line.instruction
    yield from stage.instructions


def _wish(line: Run) -> Wish:
    return Wish(
        line.security or "sandbox",
        line.network or "default",
        bool(line.devices),
        any(_kind(mount) == "ssh" for mount in line.mounts),
    )


def _kind(mount: Mount) -> str:
    """The type of a mount as it is written, empty if nobody knows yet."""
    kind = ""
    for key, word in mount.fields:
        if key.lower() == "type" and word is not None:
            literals = [part.text for part in word.parts if isinstance(part, Literal)]
            kind = "".join(literals) if len(literals) == len(word.parts) else ""
    return kind.lower()
