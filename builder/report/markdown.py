"""A report as Markdown, for the summary of a CI job: totals, what missed and why, conditions, layers.

Whatever comes from a build file or a context is written so that no Markdown and no HTML in it means anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from builder.events import Outcome
from builder.report.document import Report, ReportStep, made_by
from builder.report.summary import one_line, shorten
from builder.report.text import human, seconds

# A job's summary may have a megabyte; what is left out is counted.
_STEPS = 400
_REASONS = 10
_TITLE = 120
_WHY = 200
# Signs that mean nothing within `<code>`, wherever they stand.
_MEANS_SOMETHING = re.compile(r"[^A-Za-z0-9 \-/.,=:+()'\"%?;→…]|(?<=www)\.|(?<=:)/")
_MARKS = {
    Outcome.HIT: "✅ hit",
    Outcome.MISS: "🔨 miss",
    Outcome.DONE: "done",
    Outcome.FAILED: "❌ failed",
    Outcome.CANCELLED: "⏹ cancelled",
}


def code(text: str, width: int = _TITLE) -> str:
    """Text from elsewhere, on one line and literally: HTML's entities are never taken for Markdown's signs."""
    return f"<code>{_MEANS_SOMETHING.sub(_entity, shorten(one_line(text), width))}</code>"


def _entity(match: re.Match[str]) -> str:
    sign = match[0]
    return f"&#{ord(sign)};" if sign.isascii() else sign


def render_markdown(report: Report) -> str:
    """The whole document, ending in a line end."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"## {'✅' if report.ok and not report.unmet else '❌'} pybuild{_named(report)}"
    yield ""
    yield _totals(report)
    if report.error is not None:
        yield from ("", *_error(report))
    if report.conditions:
        yield from ("", *_conditions(report))
    missed = [step for step in report.in_order if step.outcome in (Outcome.MISS, Outcome.FAILED)]
    if missed:
        yield from ("", "### What was rebuilt, and why", "", *_misses(missed))
    others = [step for step in report.in_order if step not in missed]
    if others:
        yield from ("", "<details><summary>Other steps</summary>", "", *_others(others), "", "</details>")
    if report.layers:
        yield from ("", *_layers(report))
    if report.warnings:
        yield from ("", "### Warnings", "")
        for warning in report.warnings[:_STEPS]:
            place = f"{code(warning.place)}: " if warning.place else ""
            yield f"- {place}{code(warning.message, _WHY)}"


def _named(report: Report) -> str:
    return "".join(f" {code(name)}" for name in report.names[:5])


def _totals(report: Report) -> str:
    hits, misses = report.count(Outcome.HIT), report.count(Outcome.MISS)
    number = hits + misses + report.count(Outcome.FAILED) + report.count(Outcome.CANCELLED)
    share = (
        f" ({report.hit_rate:.0%})" if number == hits + misses else ""
    )  # else it would be one of fewer steps
    facts = [
        f"**{hits}** of **{number}** steps from the cache{share}",
        f"**{misses}** rebuilt",
        f"took **{seconds(report.seconds)}**",
    ]
    if report.saved >= 0.05:
        facts.append(f"saved **{seconds(report.saved)}**")
    if report.size:
        facts.append(f"image **{human(report.size)}**")
    moved = report.traffic
    facts += [
        f"{name} {human(size)}"
        for name, size in (("fetched", moved.fetched), ("pushed", moved.pushed), ("written", moved.written))
        if size
    ]
    return " · ".join(facts)


def _error(report: Report) -> Iterator[str]:
    error = report.error or {}
    place = f"{code(error['file'])} line {error['line']}: " if error.get("file") else ""
    yield f"**Failed:** {place}{code(str(error.get('message', '')), _WHY)}"
    if error.get("hint"):
        yield f"<br>Hint: {code(str(error['hint']), _WHY)}"
    output = str(error.get("output", "")).splitlines()[-20:]
    if output:
        yield from ("", "<details><summary>Last output</summary>", "")
        yield "<pre>" + "<br>".join(code(line, _WHY) for line in output) + "</pre>"
        yield from ("", "</details>")


def _conditions(report: Report) -> Iterator[str]:
    yield from ("| condition | | found |", "| --- | --- | --- |")
    for condition in report.conditions:
        mark = "✅ met" if condition.met else "❌ not met"
        yield f"| {code(condition.text)} | {mark} | {code(condition.found)} |"


def _misses(steps: Sequence[ReportStep]) -> Iterator[str]:
    yield from ("| step | result | time | size | why |", "| --- | --- | ---: | ---: | --- |")
    for step in steps[:_STEPS]:
        size = human(step.size) if step.size else ""
        why = "<br>".join(_why(step))
        yield f"| {code(step.title)} | {_MARKS[step.outcome]} | {seconds(step.seconds)} | {size} | {why} |"
    if len(steps) > _STEPS:
        yield f"| and {len(steps) - _STEPS} more | | | | |"


def _why(step: ReportStep) -> Iterator[str]:
    if step.error:
        yield code(step.error, _WHY)
    for reason in step.reasons[:_REASONS]:
        yield code(reason.detail or reason.part or reason.kind, _WHY)
    if len(step.reasons) > _REASONS:
        yield f"and {len(step.reasons) - _REASONS} more"
    if step.same:
        yield "the result is the same as before: no later step is rebuilt for it"


def _others(steps: Sequence[ReportStep]) -> Iterator[str]:
    yield from ("| step | result | time | saved |", "| --- | --- | ---: | ---: |")
    for step in steps[:_STEPS]:
        saved = seconds(step.saved) if step.saved >= 0.05 else ""
        origin = f" from {code(step.origin)}" if step.origin else ""
        yield f"| {code(step.title)} | {_MARKS[step.outcome]}{origin} | {seconds(step.seconds)} | {saved} |"
    if len(steps) > _STEPS:
        yield f"| and {len(steps) - _STEPS} more | | | |"


def _layers(report: Report) -> Iterator[str]:
    makers = made_by(report)
    yield f"<details><summary>{len(report.layers)} layers, {human(report.size)}</summary>"
    yield from ("", "| layer | size | made by |", "| --- | ---: | --- |")
    for layer in report.layers[:_STEPS]:
        maker = makers.get(layer.state)
        by = code(maker.title) if maker else "base" if layer.pulled else ""
        yield f"| {code(layer.digest[:19])} | {human(layer.size)} | {by} |"
    yield from ("", "</details>")
