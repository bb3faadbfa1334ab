"""The graph of stages, laid out for drawing: those that need nothing on the left, the target on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.events import Outcome, StageNode
from builder.report.document import Report
from builder.value import dataclass

WIDTH, HEIGHT = 224, 68
_GAP_X, _GAP_Y, _MARGIN = 56, 20, 4
# What an arrow takes that passes a column.
_LANE = 8


@dataclass(frozen=True, slots=True)
class Node:
    """A stage as a box with its upper left corner; counts and time are of its steps."""

    stage: StageNode
    x: int
    y: int
    hits: int
    rebuilt: int
    failed: int
    seconds: float

    @property
    def kind(self) -> str:
        """What its colour says."""
        return "failed" if self.failed else "miss" if self.rebuilt else "hit"


@dataclass(frozen=True, slots=True)
class _Passing:
    """An arrow that passes a column, from one stage to another by their indexes."""

    need: int
    stage: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole graph: its size, its boxes, and the paths of its arrows in SVG's language."""

    width: int
    height: int
    nodes: tuple[Node, ...]
    arrows: tuple[str, ...]


def draw(report: Report) -> Drawing:
    """Lay out the stages of a report. An arrow past a column goes between the boxes there, never behind one."""
    depths = _depths(report.stages)
    columns: dict[int, list[StageNode | _Passing]] = {}
    for stage in report.stages:
        columns.setdefault(depths[stage.index], []).append(stage)
    for stage in report.stages:
        for need in stage.needs:
            for depth in range(depths.get(need, depths[stage.index]) + 1, depths[stage.index]):
                columns.setdefault(depth, []).append(_Passing(need, stage.index))
    tall = {depth: _height(items) for depth, items in columns.items()}
    height = 2 * _MARGIN + max(tall.values(), default=0)
    nodes: dict[int, Node] = {}
    passed: dict[_Passing, list[tuple[int, int]]] = {}
    for depth, items in sorted(columns.items()):
        x, y = _MARGIN + depth * (WIDTH + _GAP_X), (height - tall[depth]) // 2
        for item in items:
            if isinstance(item, _Passing):
                passed.setdefault(item, []).append((x, y + _LANE // 2))
                y += _LANE + _GAP_Y
            else:
                nodes[item.index] = _node(report, item, x, y)
                y += HEIGHT + _GAP_Y
    arrows = [
        _arrow(nodes[need], passed.get(_Passing(need, node.stage.index), []), node)
        for node in nodes.values()
        for need in node.stage.needs
        if need in nodes
    ]
    width = 2 * _MARGIN + len(columns) * WIDTH + max(len(columns) - 1, 0) * _GAP_X
    return Drawing(width, height, tuple(nodes.values()), tuple(arrows))


def _height(items: Sequence[object]) -> int:
    """What the boxes and arrows of one column take."""
    return sum(_LANE if isinstance(item, _Passing) else HEIGHT for item in items) + (len(items) - 1) * _GAP_Y


def _depths(stages: Sequence[StageNode]) -> Mapping[int, int]:
    """The column of each stage: right of all that it needs, and as near to what needs it as can be. Stages need none but earlier
    ones; what is missing counts for nothing.
    """
    ordered = sorted(stages, key=lambda one: one.index)
    depths: dict[int, int] = {}
    for stage in ordered:
        depths[stage.index] = 1 + max((depths.get(need, -1) for need in stage.needs), default=-1)
    nearest: dict[int, int] = {}
    for stage in reversed(ordered):
        depths[stage.index] = max(depths[stage.index], nearest.get(stage.index, 0))
        for need in stage.needs:
            nearest[need] = min(nearest.get(need, len(ordered)), depths[stage.index] - 1)
    return depths


def _node(report: Report, stage: StageNode, x: int, y: int) -> Node:
    steps = [step for step in report.steps if step.of == stage.index]
    outcomes = [step.outcome for step in steps]
    return Node(
        stage,
        x,
        y,
        outcomes.count(Outcome.HIT),
        outcomes.count(Outcome.MISS),
        outcomes.count(Outcome.FAILED),
        sum(step.seconds for step in steps),
    )


def _arrow(begin: Node, passing: Sequence[tuple[int, int]], end: Node) -> str:
    x, y = begin.x + WIDTH, begin.y + HEIGHT // 2
    path = f"M{x} {y}"
    for left, height in passing:
        path += _bend(x, y, left, height) + f"H{left + WIDTH}"
        x, y = left + WIDTH, height
    return path + _bend(x, y, end.x - 5, end.y + HEIGHT // 2)


def _bend(x1: int, y1: int, x2: int, y2: int) -> str:
    bend = max((x2 - x1) // 2, 16)
    return f"C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
