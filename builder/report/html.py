"""A report as one HTML page that needs nothing else: no host, no font, no library. It works offline and without scripts.

Its own policy forbids every request, and every script but the one that filters its table of steps.
"""

from __future__ import annotations

import os
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from builder.events import Outcome, Reason
from builder.report.document import Report, ReportStep, made_by
from builder.report.harmless import harmless
from builder.report.page import TEMPLATES, template
from builder.report.stagegraph import HEIGHT, WIDTH, draw
from builder.report.summary import one_line
from builder.report.text import human, seconds
from builder.report.trend import Trend, flaky_sentence
from builder.report.waterfall import lay_out
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.report.advice import Advised

_WORDS = {
    Outcome.HIT: "cached",
    Outcome.MISS: "rebuilt",
    Outcome.DONE: "done",
    Outcome.FAILED: "failed",
    Outcome.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Miss:
    """A step that was carried out; `roots` are reasons of its own, `follows` those that are another step's doing."""

    step: ReportStep
    roots: tuple[Reason, ...]
    follows: tuple[Reason, ...]


def render_html(report: Report, trend: Trend | None = None, advised: Advised | None = None) -> str:
    """The page. `trend` is what earlier builds were like, `advised` what could be better."""
    # Late, for pages only.
    from markupsafe import Markup

    script, style = _read("report.js"), _read("report.css")
    return template(_FILTERS).render(
        report=report,
        counts={outcome.value: report.count(outcome) for outcome in Outcome},
        misses=_misses(report),
        waterfall=lay_out(report),
        drawing=draw(report),
        box=(WIDTH, HEIGHT),
        layers=_layers(report),
        trend=trend or Trend(),
        advised=advised,
        tops=_tops(trend or Trend()),
        script=Markup(script),  # noqa: S704 - a file of this package
        style=Markup(style),  # noqa: S704 - a file of this package
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )


def _read(name: str) -> str:
    with open(os.path.join(TEMPLATES, name), encoding="utf-8") as stream:
        return stream.read()


def _misses(report: Report) -> list[Miss]:
    """What was rebuilt, in the order of the build file."""
    known = {step.step for step in report.steps if step.outcome is Outcome.MISS}
    return [
        Miss(
            step,
            tuple(reason for reason in step.reasons if reason.step not in known),
            tuple(reason for reason in step.reasons if reason.step in known),
        )
        for step in report.in_order
        if step.outcome in (Outcome.MISS, Outcome.FAILED)
    ]


def _layers(report: Report) -> list[dict[str, Any]]:
    """Each layer with its share of the largest, and the step that made it."""
    largest = max((layer.size for layer in report.layers), default=0) or 1
    steps = made_by(report)
    return [
        {"layer": layer, "share": round(100 * layer.size / largest, 2), "step": steps.get(layer.state)}
        for layer in report.layers
    ]


def _tops(trend: Trend) -> dict[str, float]:
    """What the highest bar of each chart stands for."""
    return {
        "seconds": max((point.seconds for point in trend.points), default=0.0) or 1.0,
        "size": max((point.size for point in trend.points), default=0) or 1,
    }


def _took(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 0.95 else seconds(value)


def _moment(value: float) -> str:
    """Seconds since 1970 as a date and time that is the same wherever it is read."""
    return time.strftime("%-d %B %Y, %H:%M UTC", time.gmtime(max(value, 0.0)))


_FILTERS: dict[str, Callable[..., object]] = {
    "human": human,
    "took": _took,
    "line": one_line,
    "plain": harmless,
    "word": lambda outcome: _WORDS[Outcome(outcome)],
    "percent": lambda share: f"{share:.0%}",
    "moment": _moment,
    "flaky": flaky_sentence,
}
