"""The report file: how every step of a build ended, as JSON with a version of its form."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

from builder.errors import BuilderError, UsageError
from builder.events import BuildFinished, Event, StepFinished, StepStarted, Warned

SCHEMA = 1


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
            }
        elif isinstance(event, StepFinished):
            self._steps[event.step] |= {
                "outcome": event.outcome.value,
                "seconds": round(event.seconds, 6),
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
        outcomes = [step.get("outcome", "cancelled") for step in steps]
        return {
            "schema": SCHEMA,
            "ok": bool(self._end and self._end.ok),
            "image": self._end.image if self._end else "",
            "names": list(self._end.names) if self._end else [],
            "seconds": round(self._end.seconds, 6) if self._end else 0,
            "hits": outcomes.count("hit"),
            "misses": outcomes.count("miss"),
            "steps": steps,
            "warnings": self._warnings,
        }

    def write(self, path: str) -> None:
        """Write it to a file, which appears whole."""
        temporary = f"{path}.{os.getpid()}.tmp"
        try:
            with open(temporary, "w", encoding="utf-8") as stream:
                json.dump(self.document(), stream, indent=2)
                stream.write("\n")
            os.replace(temporary, path)
        except OSError as error:
            raise UsageError(f'cannot write the report "{path}": {error.strerror}') from None
