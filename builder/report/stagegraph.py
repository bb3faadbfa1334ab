"""The graph of stages, laid out for drawing: those that need nothing on the left, the target on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.events import Outcome, StageNode
from builder.report.document import Report
from builder.value import dataclass

WIDTH, HEIGHT = 224, 68
_GAP_X, _GAP_Y, _MARGIN = 56, 20, 4


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
class Drawing:
    """The whole graph: its size, its boxes, and the paths of its arrows in SVG's language."""

    width: int
    height: int
    nodes: tuple[Node, ...]
    arrows: tuple[str, ...]


def draw(report: Report) -> Drawing:
    """Lay out the stages of a report."""
    depths = _depths(report.stages)
    columns: dict[int, list[StageNode]] = {}
    for stage in report.stages:
        columns.setdefault(depths[stage.index], []).append(stage)
    tallest = max(map(len, columns.values()), default=0)
    height = 2 * _MARGIN + tallest * HEIGHT + max(tallest - 1, 0) * _GAP_Y
    nodes = {}
    for depth, stages in columns.items():
        top = (height - len(stages) * HEIGHT - (len(stages) - 1) * _GAP_Y) // 2
        for row, stage in enumerate(stages):
            nodes[stage.index] = _node(
                report, stage, _MARGIN + depth * (WIDTH + _GAP_X), top + row * (HEIGHT + _GAP_Y)
            )
    arrows = [
        _arrow(nodes[need], node) for node in nodes.values() for need in node.stage.needs if need in nodes
    ]
    width = 2 * _MARGIN + len(columns) * WIDTH + max(len(columns) - 1, 0) * _GAP_X
    return Drawing(width, height, tuple(nodes.values()), tuple(arrows))


def _depths(stages: Sequence[StageNode]) -> Mapping[int, int]:
    """How many stages stand before each at most; stages need none but earlier ones, else what is missing counts for nothing."""
    depths: dict[int, int] = {}
    for stage in sorted(stages, key=lambda one: one.index):
        depths[stage.index] = 1 + max((depths.get(need, -1) for need in stage.needs), default=-1)
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


def _arrow(begin: Node, end: Node) -> str:
    x1, y1, x2, y2 = begin.x + WIDTH, begin.y + HEIGHT // 2, end.x - 5, end.y + HEIGHT // 2
    bend = max((x2 - x1) // 2, 16)
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
