"""Plain progress: one line after the other, readable in a CI log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TextIO

from builder.events import (
    BuildFinished,
    Event,
    Outcome,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
    Warned,
)
from builder.report.summary import render_summary
from builder.report.text import clean, human

_LONGEST = 16 * 1024
# A download says how far it is in steps of a twentieth.
_PART = 20


@dataclass(slots=True)
class _Step:
    number: int
    title: str
    begin: float
    rest: dict[str, bytes] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)


class Plain:
    """Shows events as lines of text."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._steps: dict[int, _Step] = {}
        self._current = 0
        self._finished: list[tuple[str, StepFinished]] = []

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, StepStarted):
            self._steps[event.step] = _Step(event.step, event.title, event.time)
            self._line(event.step, event.title)
        elif isinstance(event, StepOutput):
            self._output(event)
        elif isinstance(event, StepProgress):
            self._progress(event)
        elif isinstance(event, StepFinished):
            self._finish(event)
        elif isinstance(event, Warned):
            place = f"{event.place}: " if event.place else ""
            self._write(f"warning: {place}{event.message}")
        elif isinstance(event, BuildFinished):
            self._write(render_summary(self._finished, event))
        self._stream.flush()

    def close(self) -> None:
        """Nothing is held back."""
        self._stream.flush()

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text + "\n")
        except UnicodeEncodeError:  # a log in an old encoding
            self._stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")

    def _line(self, step: int, text: str) -> None:
        """A line of a step; a blank line and its name come before the first after another step's."""
        if self._current not in (0, step):
            self._write("")
            if step in self._steps and text != self._steps[step].title:
                self._write(f"#{step} {self._steps[step].title}")
        self._current = step
        self._write(f"#{step} {clean(text)}")

    def _output(self, event: StepOutput) -> None:
        step = self._steps[event.step]
        data = step.rest.pop(event.stream, b"") + event.data
        *lines, rest = data.split(b"\n")
        if len(rest) > _LONGEST:
            lines.append(rest)
            rest = b""
        if rest:
            step.rest[event.stream] = rest
        for line in lines:
            self._log(step, event.time, line)

    def _log(self, step: _Step, time: float, line: bytes) -> None:
        text = line[:_LONGEST].decode("utf-8", "replace").rstrip("\r")
        self._line(step.number, f"{time - step.begin:.3f} {text.rpartition(chr(13))[2]}")

    def _progress(self, event: StepProgress) -> None:
        step = self._steps[event.step]
        part = event.done * _PART // event.total if event.total else event.done >> 24
        if step.told.get(event.label) != part:
            step.told[event.label] = part
            total = f" / {human(event.total)}" if event.total else ""
            self._line(event.step, f"{event.label} {human(event.done)}{total}")

    def _finish(self, event: StepFinished) -> None:
        step = self._steps[event.step]
        for line in step.rest.values():
            self._log(step, event.time, line)
        self._finished.append((step.title, event))
        if event.outcome is Outcome.HIT:
            self._line(event.step, "CACHED")
        elif event.outcome is Outcome.FAILED:
            self._line(event.step, f"ERROR: {event.error}")
        elif event.outcome is Outcome.CANCELLED:
            self._line(event.step, "CANCELED")
        else:
            self._line(event.step, f"DONE {event.seconds:.1f}s")
