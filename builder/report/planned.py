"""Plans of builds, as text and as JSON."""

from __future__ import annotations

from typing import Any

from builder.engine.planning import BuildPlan, PlannedStep, Verdict
from builder.report.summary import one_line, shorten
from builder.report.text import counted, seconds
from builder.report.why import reason_words

SCHEMA = 1
_TITLE = 60
_WHY = 300


def render_plan(plan: BuildPlan) -> str:
    """A line for each step: its number, title, what a build would do, how long that took the last time, and why."""
    rows = [
        (
            f"#{step.number}",
            shorten(one_line(step.title), _TITLE),
            step.verdict.value,
            seconds(step.seconds) if _is_work(step) and step.seconds is not None else "",
            shorten("; ".join(_words(step)), _WHY),
        )
        for step in plan.steps
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    lines = [
        f"{number:<{widths[0]}} {title:<{widths[1]}}  {verdict:<{widths[2]}}  {time:>{widths[3]}}  {why}".rstrip()
        for number, title, verdict, time, why in rows
    ]
    return "".join(f"{line}\n" for line in [*lines, "", plan_totals(plan)])


def _is_work(step: PlannedStep) -> bool:
    return step.verdict in (Verdict.MISS, Verdict.DEPENDS)


def _words(step: PlannedStep) -> list[str]:
    """Why, or for a hit from where."""
    return [*reason_words(step.reasons), *([f"from {step.origin}"] if step.origin else [])]


def plan_totals(plan: BuildPlan) -> str:
    """One line: how many steps would hit, miss, or depend on others, and how long they took the last time."""
    count = {verdict: sum(step.verdict is verdict for step in plan.steps) for verdict in Verdict}
    hits, misses, depend = count[Verdict.HIT], count[Verdict.MISS], count[Verdict.DEPENDS]
    text = f"{counted(hits, 'hit')}, {counted(misses, 'miss', 'es')}"
    if fetches := count[Verdict.FETCH]:
        text += f", {counted(fetches, 'image')} to fetch"
    if depend:
        text += f", {depend} that depend{'s' if depend == 1 else ''} on others"
    if plan.cached:
        return f"{text}: nothing would be built"
    unknown = sum(_is_work(step) and step.seconds is None for step in plan.steps)
    if unknown == misses + depend:
        return f"{text}: nobody knows how long they take"
    open_end = f", and {unknown} that nobody has timed" if unknown else ""
    return f"{text}: at most {seconds(plan.seconds)} of work{open_end}"


def plan_document(plan: BuildPlan) -> dict[str, Any]:
    """A plan as JSON has it; docs/explain.md describes it."""
    return {
        "schema": SCHEMA,
        "cached": plan.cached,
        "seconds": round(plan.seconds, 6),
        "hits": sum(step.verdict is Verdict.HIT for step in plan.steps),
        "misses": sum(step.verdict is Verdict.MISS for step in plan.steps),
        "depends": sum(step.verdict is Verdict.DEPENDS for step in plan.steps),
        "fetches": sum(step.verdict is Verdict.FETCH for step in plan.steps),
        "steps": [_step_document(step) for step in plan.steps],
    }


def _step_document(step: PlannedStep) -> dict[str, Any]:
    return {
        "step": step.number,
        "title": step.title,
        "stage": step.stage,
        "line": step.line,
        "verdict": step.verdict.value,
        "seconds": None if step.seconds is None else round(step.seconds, 6),
        "key": step.key,
        "slot": step.slot,
        "origin": step.origin,
        "why": "; ".join(reason_words(step.reasons)),
        "reasons": [
            {"kind": reason.kind, "part": reason.part, "detail": reason.detail, "step": reason.step}
            for reason in step.reasons
        ],
    }
