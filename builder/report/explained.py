"""Explanations of past builds, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from builder.engine.explaining import ExplainedStep, Explanation
from builder.events import Outcome
from builder.report.harmless import harmless
from builder.report.lines import last_lines
from builder.report.summary import SAME, one_line
from builder.report.text import counted, human, seconds
from builder.report.why import reason_words
from builder.store.history import Build, BuildStep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCHEMA = 1
_LONGEST = 400
_INDENT = "    "
# Lines of a failed command's output: beside other steps, and for itself.
_FEW, _MANY = 10, 40


def render_explanation(explanation: Explanation, *, whole: bool) -> str:
    """The text of an explanation: a line for each step that was carried out; with `whole` all about each step."""
    lines = list(_heading(explanation.build))
    if whole:
        for one in explanation.steps:
            lines += ["", *_whole(one, explanation)]
    else:
        told = [one for one in explanation.steps if _is_told(one.step)]
        # In the order of the build file: stages that wait for one another begin before what they wait for.
        told.sort(key=lambda one: (one.step.line or 1 << 30, one.step.number))
        lines += ["", *(line for one in told for line in _brief(one, explanation))] if told else []
        hits = sum(one.step.outcome is Outcome.HIT for one in explanation.steps)
        if hits and not any(one.step.outcome is not Outcome.HIT for one in told):
            lines += ["", f"every step was in the cache: {counted(hits, 'hit')}"]
    return "".join(f"{line}\n" for line in lines)


def _is_told(step: BuildStep) -> bool:
    return step.outcome in (Outcome.MISS, Outcome.FAILED) or bool(step.reasons)


def _heading(build: Build) -> Iterator[str]:
    import time

    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(build.started))
    target = f", target {build.target}" if build.target else ""
    yield harmless(
        f"build {build.number}, {build.outcome}: {when}, {seconds(build.seconds)}, {counted(build.hits, 'hit')}, "
        f"{counted(build.misses, 'miss', 'es')}: {build.file} of {build.context}{target}"
    )
    if build.error:
        yield f"error: {one_line(build.error)}"


def _brief(one: ExplainedStep, explanation: Explanation) -> Iterator[str]:
    step = one.step
    yield f"#{step.number} {one_line(step.title)}: {_cut(why(step))}"
    if len(one.chain) > 1:
        yield f"{_INDENT}it began with #{one.root.number} {one_line(one.root.title)}"
    if step.outcome is Outcome.FAILED:
        yield f"{_INDENT}failed: {_cut(one_line(step.error))}"
        yield from _output(explanation, step, _FEW)
    yield from _differences(one)


def _output(explanation: Explanation, step: BuildStep, most: int) -> Iterator[str]:
    failure = explanation.failure
    if (
        failure is not None and step.error == explanation.build.error
    ):  # not that of another that failed beside it
        yield from last_lines(failure.output, most, indent=_INDENT)


def _whole(one: ExplainedStep, explanation: Explanation) -> Iterator[str]:
    step = one.step
    size = f", {human(step.size)}" if step.size else ""
    saved = f", once {seconds(step.saved)}" if step.outcome is Outcome.HIT else ""
    yield f"#{step.number} {one_line(step.title)}"
    yield f"{_INDENT}{step.outcome.value}: {seconds(step.seconds)}{saved}{size}"
    if step.error:
        yield f"{_INDENT}{one_line(step.error)}"
    if step.outcome is Outcome.FAILED:
        yield from _output(explanation, step, _MANY)
    if step.same:
        yield f"{_INDENT}{SAME}"
    for reason in step.reasons:
        yield f"{_INDENT}{one_line(reason.detail or reason.kind)}"
    if step.digest:
        yield f"{_INDENT}digest: {harmless(step.digest)}"
    if step.key:
        yield f"{_INDENT}key {step.key.hex()}, state {step.state.hex() or 'none'}"
    for depth, cause in enumerate(one.chain, 1):
        yield f"{_INDENT * depth}└ #{cause.number} {one_line(cause.title)}: {_cut(why(cause))}"
    yield from _differences(one)


def _differences(one: ExplainedStep) -> Iterator[str]:
    for difference in one.differences:
        if difference.note:
            yield f"{_INDENT}{harmless(difference.path)}: {harmless(difference.note)}"
        for line in difference.lines:
            yield f"{_INDENT}{harmless(line)}"


def why(step: BuildStep) -> str:
    """Why a step was carried out, in one line: `3 files changed: a (content), …`, `because step 4 changed`."""
    words = list(reason_words(step.reasons))
    if step.same:
        words.append(SAME)
    if not words and step.outcome is Outcome.HIT:
        return "hit"
    return "; ".join(words) or "nobody knows why"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON has it; docs/explain.md describes it."""
    build = explanation.build
    return {
        "schema": SCHEMA,
        "build": {
            "number": build.number,
            "started": round(build.started, 6),
            "seconds": round(build.seconds, 6),
            "outcome": build.outcome,
            "error": build.error,
            "output": explanation.failure.output if explanation.failure else "",
            "file": build.file,
            "context": build.context,
            "target": build.target,
            "platform": build.platform,
            "image": build.image,
            "names": list(build.names),
            "hits": build.hits,
            "misses": build.misses,
            "saved": round(build.saved, 6),
        },
        "steps": [_step_document(one) for one in explanation.steps],
    }


def _step_document(one: ExplainedStep) -> dict[str, Any]:
    step = one.step
    return {
        "step": step.number,
        "title": step.title,
        "stage": step.stage,
        "line": step.line,
        "outcome": step.outcome.value,
        "seconds": round(step.seconds, 6),
        "saved": round(step.saved, 6),
        "size": step.size,
        "key": step.key.hex(),
        "state": step.state.hex(),
        "compared": step.compared.hex(),
        "digest": step.digest,
        "same": step.same,
        "error": step.error,
        "why": why(step),
        "reasons": [
            {"kind": reason.kind, "part": reason.part, "detail": reason.detail, "step": reason.step}
            for reason in step.reasons
        ],
        "chain": [cause.number for cause in one.chain],
        "differences": [
            {"path": difference.path, "note": difference.note, "lines": list(difference.lines)}
            for difference in one.differences
        ],
    }
