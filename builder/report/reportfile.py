"""The report file: how every step of a build ended and why, as JSON with a version of its form.

docs/commands.md describes the form. A number in `schema` that a reader does not know means fields with other meanings;
new fields may come without a new number.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from builder.errors import BuilderError, BuildFileError, CommandError
from builder.events import BuildFinished, Event, StepFinished, StepStarted, Warned

SCHEMA = 1
_UNFINISHED = {
    "outcome": "cancelled",
    "seconds": 0.0,
    "saved": 0.0,
    "size": 0,
    "key": "",
    "state": "",
    "reasons": [],
    "error": "",
}


class Recorder:
    """Gathers what a report says."""

    def __init__(self) -> None:
        self._steps: dict[int, dict[str, Any]] = {}
        self._warnings: list[dict[str, str]] = []
        self._end: BuildFinished | None = None
        self._error: BuilderError | None = None

    def show(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, StepStarted):
            self._steps[event.step] = {
                "step": event.step,
                "title": event.title,
                "stage": event.stage,
                "line": event.line,
                "started": round(event.time, 6),
                **_UNFINISHED,
            }
        elif isinstance(event, StepFinished):
            self._steps[event.step] |= {
                "outcome": event.outcome.value,
                "seconds": round(event.seconds, 6),
                "saved": round(event.saved, 6),
                "size": event.size,
                "key": event.key,
                "state": event.state,
                "reasons": [asdict(reason) for reason in event.reasons],
                "error": event.error,
            }
        elif isinstance(event, Warned):
            self._warnings.append({"message": event.message, "place": event.place})
        elif isinstance(event, BuildFinished):
            self._end = event

    def failed(self, error: BuilderError) -> None:
        """Take note of why there is no result."""
        self._error = error

    def document(self) -> dict[str, Any]:
        """The report."""
        steps = list(self._steps.values())
        outcomes = [step["outcome"] for step in steps]
        end = self._end
        return {
            "schema": SCHEMA,
            "ok": end is not None and end.ok,
            "image": end.image if end else "",
            "names": list(end.names) if end else [],
            "seconds": round(end.seconds, 6) if end else 0.0,
            "saved": round(sum(step["saved"] for step in steps), 6),
            "hits": outcomes.count("hit"),
            "misses": outcomes.count("miss"),
            "error": error_object(self._error) if self._error else None,
            "steps": steps,
            "warnings": self._warnings,
        }

    def write(self, path: str) -> None:
        """Write it to a file, which appears whole; a `BuilderError` if that cannot be."""
        # Late: few builds write one.
        from builder.output.destination import open_destination

        with open_destination(path, None) as stream:
            stream.write(json.dumps(self.document(), indent=2).encode() + b"\n")


def error_object(error: BuilderError) -> dict[str, Any]:
    """An error as JSON has it: `message`, `hint`, where, and what belongs to its kind."""
    place = error.location
    found: dict[str, Any] = {
        "message": error.message,
        "hint": error.hint or "",
        "file": place.file if place else "",
        "line": place.line if place else 0,
        "column": place.column if place else 0,
    }
    if isinstance(error, CommandError):
        found["status"] = error.status
        found["output"] = error.output.decode("utf-8", "replace")
    if isinstance(error, BuildFileError) and error.others:
        found["others"] = [error_object(other) for other in error.others]
    return found
