"""Stages that take files of themselves, or of stages below them: none of those can be built."""

from __future__ import annotations

from collections.abc import Iterator

from builder.buildfile.syntax import BuildFile, Span
from builder.graph.places import mistake, narrow
from builder.graph.sources import source_names
from builder.graph.stages import Stage


def refuse_circles(file: BuildFile, stages: tuple[Stage, ...]) -> None:
    """Find a stage that needs itself; iterative, since the chain may be as long as the file."""
    done: set[int] = set()
    for start in range(len(stages)):
        path: dict[int, None] = {}  # in order, with a quick look-up
        left: list[tuple[int, Iterator[int]]] = []
        entered = start
        while True:
            if entered in path:
                circle = [*path, entered]
                del circle[: circle.index(entered)]
                chain = " → ".join(_call(stages[index]) for index in circle)
                if len(circle) == 2:
                    raise mistake(
                        file,
                        _source_place(file, stages[entered], stages[entered]),
                        f"circular dependency: stage {_call(stages[entered])} takes files of itself",
                        "its own files are there already: RUN cp copies them",
                    )
                raise mistake(
                    file,
                    _source_place(file, stages[entered], stages[circle[1]]),
                    f"circular dependency: stage {chain}",
                    "a stage can only use what stages before it made",
                )
            if entered not in done:
                path[entered] = None
                left.append((entered, iter(stages[entered].dependencies)))
            following = _next_of(left, path, done)
            if following is None:
                break
            entered = following


def _next_of(left: list[tuple[int, Iterator[int]]], path: dict[int, None], done: set[int]) -> int | None:
    while left:
        index, rest = left[-1]
        following = next(rest, None)
        if following is not None:
            return following
        left.pop()
        path.popitem()
        done.add(index)
    return None


def refuse_later_sources(file: BuildFile, stages: tuple[Stage, ...], needed: tuple[int, ...]) -> None:
    """Find a stage that is `needed` and takes files of one below it."""
    for stage in [stages[index] for index in needed]:
        later = [index for index in stage.dependencies if index > stage.index]
        if later:
            raise mistake(
                file,
                _source_place(file, stage, stages[later[0]]),
                f"stage {_call(stage)} takes files of stage {_call(stages[later[0]])}, which is built later",
                "move the FROM of that stage above this one",
            )


def _source_place(file: BuildFile, stage: Stage, source: Stage) -> Span:
    """Where a stage names one that it takes files of; its FROM if nothing there does."""
    names = (str(source.index), source.name)
    for line in stage.instructions:
        for name in source_names(file, line):
            if name.lower() in names:
                return narrow(file, line.span, f"from={name}")
    return stage.span


def _call(stage: Stage) -> str:
    return stage.name or str(stage.index)
