"""A report as GitHub's workflow commands: annotations at the lines of the build file.

Errors and conditions that are not met are errors, warnings are warnings, and a miss is a notice that says why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from builder.events import Outcome
from builder.report.document import Report
from builder.report.harmless import harmless

# What one annotation says at most; GitHub cuts at 4 KB.
_LONGEST = 3000
_REASONS = 10


def render_github(report: Report) -> str:
    """All annotations, one a line."""
    return "".join(_annotations(report))


def _annotations(report: Report) -> Iterator[str]:
    error = report.error
    if error is not None:
        text = str(error.get("message", "")) + (f"\nhint: {error['hint']}" if error.get("hint") else "")
        yield annotation("error", str(error.get("file", "")), int(error.get("line", 0)), "pybuild", text)
        for other in error.get("others", ()):
            yield annotation("error", other["file"], other["line"], "pybuild", other["message"])
    for condition in report.unmet:
        yield annotation("error", "", 0, "not met", f"{condition.text} is not met: {condition.found}")
    for warning in report.warnings:
        file, _, line = warning.place.rpartition(":")
        number = int(line) if line.isascii() and line.isdigit() else 0
        yield annotation("warning", file if number else warning.place, number, "pybuild", warning.message)
    for step in report.steps:
        if step.outcome is Outcome.MISS and step.reasons:
            lines = [reason.detail or reason.part or reason.kind for reason in step.reasons[:_REASONS]]
            if len(step.reasons) > _REASONS:
                lines.append(f"and {len(step.reasons) - _REASONS} more")
            yield annotation("notice", report.file, step.line, f"rebuilt: {step.title}", "\n".join(lines))


def annotation(kind: str, file: str, line: int, title: str, text: str) -> str:
    """One workflow command; nothing in it can begin another, or end it early."""
    properties = {}
    if file:
        properties["file"] = harmless(_relative(file))
        if line > 0:
            properties["line"] = str(line)
    properties["title"] = harmless(" ".join(title.split()))[:200]
    listed = ",".join(f"{key}={_escaped(value, in_property=True)}" for key, value in properties.items())
    clean = "\n".join(harmless(part) for part in text.split("\n"))[:_LONGEST]
    return f"::{kind} {listed}::{_escaped(clean)}\n"


def _relative(file: str) -> str:
    """GitHub names files from the top of the repository, where a job begins."""
    if not os.path.isabs(file):
        return os.path.normpath(file)
    inside = os.path.relpath(file)
    return file if inside.startswith("..") else inside


def _escaped(text: str, *, in_property: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if in_property else text
