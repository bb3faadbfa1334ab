"""The waterfall: when each step ran, and which ran side by side."""

from __future__ import annotations

from collections.abc import Sequence

from builder.events import Outcome
from builder.report.document import Report, ReportStep
from builder.value import dataclass

# A bar that is thinner cannot be seen; in hundredths of the width.
_THINNEST = 0.35
_TICKS = 5
_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Bar:
    """A step's bar: where it begins and how wide it is, in hundredths of the whole.

    `lane` counts from 0; a hit, which takes no processor, has -1.
    """

    step: ReportStep
    left: float
    width: float
    lane: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the time axis, in hundredths and in seconds."""

    left: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All bars in the order in which steps began; `lanes` is how many ran side by side at most."""

    bars: tuple[Bar, ...]
    lanes: int
    ticks: tuple[Tick, ...]


def lay_out(report: Report) -> Waterfall:
    """Bars for all steps of a report. Steps that overlap in time are in different lanes."""
    steps = sorted(report.steps, key=lambda step: (step.started, step.step))
    starts = [step.started for step in steps] + ([report.started] if report.started > 0 else [])
    begin = min(starts, default=0.0)
    end = max([begin + report.seconds, *(step.started + step.seconds for step in steps)])
    whole = max(end - begin, 1e-6)
    bars, lanes = [], 0
    for step, lane in zip(steps, _lanes(steps), strict=True):
        width = max(100 * step.seconds / whole, _THINNEST)
        left = min(100 * max(step.started - begin, 0.0) / whole, 100 - width)
        bars.append(Bar(step, round(max(left, 0.0), 3), round(min(width, 100.0), 3), lane))
        lanes = max(lanes, lane + 1)
    return Waterfall(tuple(bars), lanes, _ticks(whole))


def _lanes(steps: Sequence[ReportStep]) -> list[int]:
    """The first lane that is free when a step begins."""
    free: list[float] = []
    found = []
    for step in steps:
        if step.outcome is Outcome.HIT:
            found.append(-1)
            continue
        # A step hands over within a moment; that is no overlap.
        lane = next((index for index, time in enumerate(free) if time <= step.started + 1e-3), len(free))
        free[lane : lane + 1] = [step.started + step.seconds]
        found.append(lane)
    return found


def _ticks(whole: float) -> tuple[Tick, ...]:
    """Round times, about five of them."""
    units = (10.0**power * factor for power in range(-3, 12) for factor in _STEPS)
    wide = next((unit for unit in units if whole / unit <= _TICKS), whole)
    return tuple(
        Tick(round(100 * index * wide / whole, 3), index * wide) for index in range(int(whole / wide) + 1)
    )
