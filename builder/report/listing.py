"""Past builds as text for a terminal: the list of builds, one build, the trend of builds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from builder.events import BuildFinished, StepFinished
from builder.report.document import Report, made_by
from builder.report.lines import last_lines
from builder.report.summary import one_line, render_summary, shorten
from builder.report.text import counted, human, seconds
from builder.report.trend import Point, Trend, flaky_sentence, point_of
from builder.store.history import Build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLOCKS = "▁▂▃▄▅▆▇█"
_TITLE = 60
_FLAKY = 15
_OUTPUT = 20


def list_rows(builds: Sequence[Build]) -> list[tuple[str, ...]]:
    """Builds as the rows of a table, with its head."""
    rows: list[tuple[str, ...]] = [("BUILD", "WHEN", "RESULT", "CACHED", "TIME", "SAVED", "SIZE", "WHAT")]
    for build in builds:
        point = point_of(build)
        rows.append(
            (
                str(build.number),
                _moment(build.started),
                build.outcome,
                f"{point.hits}/{point.hits + point.misses}",
                seconds(point.seconds),
                seconds(point.saved) if point.saved >= 0.05 else "",
                human(point.size) if point.size else "",
                shorten(one_line(_what(build)), _TITLE),
            )
        )
    return rows


def _what(build: Build) -> str:
    """What people call a build by: the image's name, or the build file."""
    name = build.names[0] if build.names else build.file or build.context
    return f"{name} ({build.target})" if build.target else name


def builds_document(builds: Sequence[Build]) -> dict[str, Any]:
    """Builds as JSON has them."""
    return {
        "schema": 1,
        "builds": [
            {
                "build": build.number,
                "started": round(build.started, 6),
                "seconds": round(build.seconds, 6),
                "outcome": build.outcome,
                "file": build.file,
                "context": build.context,
                "target": build.target,
                "image": build.image,
                "names": list(build.names),
                "hits": build.hits,
                "misses": build.misses,
                "hit_rate": round(point_of(build).hit_rate, 6),
                "saved": round(build.saved, 6),
                "size": build.counters.get("size", 0),
            }
            for build in builds
        ],
    }


def render_report(report: Report, *, width: int | None = None) -> str:
    """One build: a heading, the table of its steps, bytes, layers, conditions, warnings."""
    return "".join(f"{line}\n" for line in _report_lines(report, width))


def _report_lines(report: Report, width: int | None) -> Iterator[str]:
    result = "done" if report.ok else "failed"
    yield f"build {report.build}, {result}: {_moment(report.started)}: {one_line(report.file)}"
    if report.error:
        at = f"{report.error['file']}:{report.error['line']}: " if report.error["file"] else ""
        yield one_line(f"{at}error: {report.error['message']}")
        if report.error["hint"]:
            yield one_line(f"  hint: {report.error['hint']}")
        yield from last_lines(str(report.error.get("output", "")), _OUTPUT)
    yield ""
    steps = [
        (
            step.title,
            StepFinished(
                *(0.0, step.step, step.outcome, step.seconds, step.size),
                reasons=step.reasons,
                error=step.error,
                saved=step.saved,
                same=step.same,
            ),
        )
        for step in report.steps
    ]
    end = BuildFinished(0.0, report.seconds, report.ok, report.image, report.names)
    yield render_summary(steps, end, width=width)
    moved = report.traffic
    yield (
        f"bytes: {human(moved.read)} read, {human(moved.hashed)} hashed, {human(moved.written)} written, "
        f"{human(moved.fetched)} fetched, {human(moved.pushed)} pushed"
    )
    if report.layers:
        makers = made_by(report)
        yield f"layers: {len(report.layers)}, {human(report.size)}"
        for layer in report.layers:
            maker = makers.get(layer.state)
            title = maker.title if maker else "with the base" if layer.pulled else "an earlier step"
            yield f"  {human(layer.size):>9}  {shorten(one_line(title), _TITLE)}"
    for condition in report.conditions:
        met = "met" if condition.met else "not met"
        yield f"required: {one_line(condition.text)}: {met}: {one_line(condition.found)}"
    for warning in report.warnings:
        place = f"{one_line(warning.place)}: " if warning.place else ""
        yield f"warning: {place}{one_line(warning.message)}"


def render_trend(trend: Trend) -> str:
    """How builds of one kind went: a line of small bars for each measure, the builds, and the steps that keep missing."""
    return "".join(f"{line}\n" for line in _trend_lines(trend))


def _trend_lines(trend: Trend) -> Iterator[str]:
    points = trend.points
    if not points:
        yield "no builds"
        return
    first, last = points[0].build, points[-1].build
    yield f"{counted(len(points), 'build')} of one kind, {first} to {last}"
    yield ""
    rates = [
        point.hit_rate if point.outcome == "done" or point.hits + point.misses else None for point in points
    ]
    yield _measure("cached", rates, 1.0, lambda value: f"{value:.0%}")
    yield _measure("time", [point.seconds for point in points], 0.0, seconds)
    sizes = [float(point.size) if point.outcome == "done" else None for point in points]
    yield _measure("size", sizes, 0.0, lambda value: human(int(value)))
    failed = [str(point.build) for point in points if point.outcome != "done"]
    if failed:
        yield f"without a result: {', '.join(failed)}"
    if trend.flaky:
        yield ""
        yield "steps that keep missing:"
        for flaky in trend.flaky[:_FLAKY]:
            stage = f"[{one_line(flaky.stage)}] " if flaky.stage else ""
            yield f"  {stage}{shorten(one_line(flaky.text), _TITLE)}"
            yield f"    {one_line(flaky_sentence(flaky))}; these took {seconds(flaky.seconds)}"
        if len(trend.flaky) > _FLAKY:
            yield f"  and {len(trend.flaky) - _FLAKY} more"


def _measure(name: str, values: Sequence[float | None], top: float, shown: Any) -> str:
    """One line; None stands for a build that has no such value."""
    known = [value for value in values if value is not None]
    if not known:
        return f"{name:<7} nobody knows"
    highest = max(top, *known) or 1.0
    bars = "".join(" " if value is None else _BLOCKS[min(int(8 * value / highest), 7)] for value in values)
    return f"{name:<7} {bars}  now {shown(known[-1])}, {shown(min(known))} to {shown(max(known))}"


def trend_document(trend: Trend) -> dict[str, Any]:
    """A trend as JSON has it."""
    return {
        "schema": 1,
        "builds": [_point_object(point) for point in trend.points],
        "flaky": [
            {
                "stage": flaky.stage,
                "text": flaky.text,
                "runs": flaky.runs,
                "misses": flaky.misses,
                "seconds": round(flaky.seconds, 6),
                "causes": [{"part": part, "misses": count} for part, count in flaky.causes],
            }
            for flaky in trend.flaky
        ],
    }


def _point_object(point: Point) -> dict[str, Any]:
    return {
        "build": point.build,
        "started": round(point.started, 6),
        "outcome": point.outcome,
        "hits": point.hits,
        "misses": point.misses,
        "hit_rate": round(point.hit_rate, 6),
        "seconds": round(point.seconds, 6),
        "saved": round(point.saved, 6),
        "size": point.size,
    }


def _moment(value: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(max(value, 0.0)))
