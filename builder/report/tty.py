"""Progress on a terminal: what runs now with its time and last lines, what is done above it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

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
from builder.report.harmless import harmless as clean
from builder.report.summary import render_summary
from builder.report.text import human

# Lines of a running step's output that are shown, and that are shown again if it fails.
_SHOWN = 4
_KEPT = 200
_STYLES = {
    Outcome.HIT: ("CACHED", "green"),
    Outcome.MISS: ("DONE", "cyan"),
    Outcome.DONE: ("DONE", "cyan"),
    Outcome.FAILED: ("ERROR", "red"),
    Outcome.CANCELLED: ("CANCELED", "yellow"),
}


@dataclass(slots=True)
class _Step:
    title: str
    begin: float
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    rest: bytes = b""
    progress: dict[str, tuple[int, int]] = field(default_factory=dict)


class Terminal:
    """Shows events on a terminal; what has ended scrolls up, what runs is redrawn."""

    def __init__(self, stream: TextIO, *, color: bool = True) -> None:
        self._console = Console(file=stream, no_color=not color, highlight=False, soft_wrap=False)
        self._running: dict[int, _Step] = {}
        self._finished: list[tuple[str, StepFinished]] = []
        self._lock = threading.Lock()
        self._live = Live(
            console=self._console, get_renderable=self._render, refresh_per_second=8, transient=True
        )
        self._live.start()

    def show(self, event: Event) -> None:
        """Take in one event."""
        with self._lock:
            if isinstance(event, StepStarted):
                self._running[event.step] = _Step(clean(event.title), time.monotonic())
            elif isinstance(event, StepOutput):
                self._output(self._running[event.step], event.data)
            elif isinstance(event, StepProgress):
                self._running[event.step].progress[event.label] = (event.done, event.total)
            elif isinstance(event, StepFinished):
                self._finish(event)
            elif isinstance(event, Warned):
                place = f"{event.place}: " if event.place else ""
                self._console.print(Text(f"warning: {place}{event.message}", style="yellow"))
            elif isinstance(event, BuildFinished):
                self._live.stop()
                self._console.print(Text(render_summary(self._finished, event)))

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def _output(self, step: _Step, data: bytes) -> None:
        *lines, step.rest = (step.rest + data)[-(1 << 16) :].split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
            step.lines.append(clean(text))

    def _finish(self, event: StepFinished) -> None:
        step = self._running.pop(event.step)
        self._finished.append((step.title, event))
        word, style = _STYLES[event.outcome]
        text = Text()
        text.append(f"{word:>8} ", style=style)
        text.append(step.title)
        if event.outcome is not Outcome.HIT:
            text.append(f"  {event.seconds:.1f}s", style="dim")
        self._console.print(text, overflow="ellipsis", no_wrap=True)
        if event.outcome is Outcome.FAILED:
            for line in step.lines:
                self._console.print(Text(f"         │ {line}"))

    def _render(self) -> Group:
        with self._lock:
            now, parts = time.monotonic(), []
            for step in self._running.values():
                head = Text(no_wrap=True, overflow="ellipsis")
                head.append(f"{now - step.begin:7.1f}s ", style="blue")
                head.append(step.title)
                parts.append(head)
                for label, (done, total) in list(step.progress.items())[-_SHOWN:]:
                    of = f" / {human(total)}" if total else ""
                    parts.append(Text(f"         {label} {human(done)}{of}", style="dim", no_wrap=True))
                parts += [
                    Text(f"         │ {line}", style="dim", no_wrap=True, overflow="ellipsis")
                    for line in list(step.lines)[-_SHOWN:]
                ]
            return Group(*parts)
