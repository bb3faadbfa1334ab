"""A report as JUnit XML, which every CI system shows: a suite for each stage, a case for each step and each condition.

A step that failed and a condition that is not met are failures; why a step missed stands in its output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from builder.events import Outcome
from builder.report.document import Report, ReportStep
from builder.report.harmless import harmless


def render_junit(report: Report) -> str:
    """The whole document, ending in a line end."""
    suites = [*_stage_suites(report)]
    if report.conditions:
        suites.append(_condition_suite(report))
    if report.error is not None and not report.count(Outcome.FAILED):
        suites.append(_error_suite(report))
    tests = sum(suite[1] for suite in suites)
    failures = sum(suite[2] for suite in suites)
    head = f'<testsuites name="pybuild" tests="{tests}" failures="{failures}" time="{report.seconds:.3f}">'
    return "\n".join(
        ['<?xml version="1.0" encoding="UTF-8"?>', head, *(suite[0] for suite in suites), "</testsuites>", ""]
    )


# A suite's text, and how many cases and failures it has.
_Suite = tuple[str, int, int]


def _stage_suites(report: Report) -> Iterator[_Suite]:
    lone = len(report.stages) == 1
    names = {
        stage.index: stage.name or ("build" if lone else f"stage-{stage.index}") for stage in report.stages
    }
    groups: dict[str, list[ReportStep]] = {}
    # What is of no stage, such as an export, is not mixed with one that may be called so.
    for step in report.in_order:
        groups.setdefault(names.get(step.of) or step.stage or ("build" if lone else "pybuild"), []).append(
            step
        )
    error = report.error or {}
    outputs = {str(error.get("message", "")): str(error.get("output", ""))}
    for name, steps in groups.items():
        yield _suite(
            name,
            [_case(name, step, outputs.get(step.error, "")) for step in steps],
            sum(step.seconds for step in steps),
            _count(steps),
        )


def _count(steps: Sequence[ReportStep]) -> tuple[int, int]:
    failed = sum(step.outcome is Outcome.FAILED for step in steps)
    return failed, sum(step.outcome is Outcome.CANCELLED for step in steps)


def _suite(name: str, cases: list[str], time: float, bad: tuple[int, int]) -> _Suite:
    failures, skipped = bad
    numbers = f'tests="{len(cases)}" failures="{failures}" skipped="{skipped}" time="{time:.3f}"'
    lines = [f'  <testsuite name="{_attribute(name)}" {numbers}>', *cases, "  </testsuite>"]
    return "\n".join(lines), len(cases), failures


def _case(suite: str, step: ReportStep, output: str) -> str:
    """A step; `output` is the last output of the one that failed."""
    head = f'    <testcase classname="{_attribute(suite)}" name="{_attribute(step.title)}" time="{step.seconds:.3f}">'
    inside = []
    if step.outcome is Outcome.FAILED:
        inside.append(
            f'<failure message="{_attribute(step.error)}">{_text(f"{step.error}{chr(10)}{output}".rstrip())}</failure>'
        )
    if step.outcome is Outcome.CANCELLED:
        inside.append('<skipped message="not carried out"/>')
    lines = [step.outcome.value, *(reason.detail or reason.part or reason.kind for reason in step.reasons)]
    inside.append(f"<system-out>{_text(chr(10).join(lines))}</system-out>")
    return "\n".join([head, *(f"      {line}" for line in inside), "    </testcase>"])


def _condition_suite(report: Report) -> _Suite:
    cases = []
    for condition in report.conditions:
        name = _attribute(condition.text)
        if condition.met:
            cases.append(f'    <testcase classname="require" name="{name}" time="0"/>')
            continue
        found = f"{condition.text} is not met: {condition.found}"
        failure = f'<failure message="{_attribute(found)}">{_text(found)}</failure>'
        cases.append(f'    <testcase classname="require" name="{name}" time="0">{failure}</testcase>')
    return _suite("require", cases, 0.0, (len(report.unmet), 0))


def _error_suite(report: Report) -> _Suite:
    message = str((report.error or {}).get("message", ""))
    failure = f'<failure message="{_attribute(message)}">{_text(message)}</failure>'
    return _suite(
        "error", [f'    <testcase classname="error" name="build" time="0">{failure}</testcase>'], 0.0, (1, 0)
    )


def _attribute(text: str) -> str:
    """On one line; signs that XML cannot hold at all are written out."""
    return escape(harmless(" ".join(text.split())))


def _text(text: str) -> str:
    return escape("\n".join(harmless(line) for line in text.split("\n")))
