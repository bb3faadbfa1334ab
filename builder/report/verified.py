"""What a verification found, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from builder.engine.verified import Difference, VerifiedStep
from builder.report.harmless import harmless
from builder.report.summary import one_line
from builder.report.text import counted, seconds

SCHEMA = 1
_SHOWN = 40
_LINES = 12
_WORDS = {"first-only": "only in the first run", "second-only": "only in the second run"}


def verification_document(steps: Sequence[VerifiedStep]) -> dict[str, Any]:
    """The document of `--format json`: see docs/reproducible.md."""
    return {
        "schema": SCHEMA,
        "reproducible": all(step.reproducible for step in steps),
        "steps": [
            {
                "title": step.title,
                "stage": step.stage,
                "line": step.line,
                "reproducible": step.reproducible,
                "seconds": round(step.seconds, 3),
                "error": step.error,
                "total": step.total,
                "differences": [
                    {
                        "path": one.path,
                        "kind": one.kind,
                        "detail": one.detail,
                        "diff": list(one.lines),
                        "note": one.note,
                    }
                    for one in step.differences
                ],
            }
            for step in steps
        ],
    }


def render_verification(steps: Sequence[VerifiedStep]) -> str:
    """Text for people: each step, and below those that are not reproducible what differs."""
    lines = [line for step in steps for line in _step(step)]
    if not steps:
        lines.append("no step was to be verified: the target has no RUN")
    return "".join(f"{line}\n" for line in lines)


def _step(step: VerifiedStep) -> Iterator[str]:
    mark = "reproducible" if step.reproducible else "NOT REPRODUCIBLE"
    count = f": {counted(step.total, 'difference')}" if step.total else ""
    yield f"{mark}  {one_line(step.title)} ({seconds(step.seconds)}){count}"
    if step.error:
        yield f"    {one_line(step.error)}"
    for one in step.differences[:_SHOWN]:
        yield from _difference(one)
    if step.total > min(_SHOWN, len(step.differences)):
        yield f"    and {step.total - min(_SHOWN, len(step.differences))} more"


def _difference(one: Difference) -> Iterator[str]:
    what = _WORDS.get(one.kind, one.kind)
    detail = f" {one.detail}" if one.detail and one.kind not in _WORDS else ""
    kind = f" ({one.detail})" if one.detail and one.kind in _WORDS else ""
    note = f" ({one.note})" if one.note else ""
    yield harmless(f"    {one.path}: {what}{detail}{kind}{note}")
    lines = [line for line in one.lines if not line.startswith(("---", "+++"))]
    for line in lines[:_LINES]:
        yield harmless(f"        {line}")
    if len(lines) > _LINES:
        yield f"        … {len(lines) - _LINES} more lines"
