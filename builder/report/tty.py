"""Progress on a terminal: what runs now with its time and last lines, what is done above it."""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

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
from builder.report.harmless import harmless
from builder.report.lines import LineReader
from builder.report.summary import render_summary, shorten
from builder.report.text import human, seconds
from builder.value import dataclass, field

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

# Lines of a running step's output that are shown, and that are shown again if it fails.
_SHOWN = 5
_KEPT = 200
# A build that is done sooner has nothing to redraw, and need not wait for the library that draws.
_SOON = 0.25
_PATIENCE = 0.3
_WORDS = {
    Outcome.HIT: ("CACHED", "32"),
    Outcome.MISS: ("DONE", "36"),
    Outcome.DONE: ("DONE", "36"),
    Outcome.FAILED: ("ERROR", "31"),
    Outcome.CANCELLED: ("CANCELED", "33"),
}


@dataclass(slots=True)
class _Step:
    title: str
    begin: float
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    reader: LineReader = field(default_factory=LineReader)
    progress: dict[str, tuple[int, int]] = field(default_factory=dict)


class Terminal:
    """Shows events on a terminal; what has ended scrolls up, what runs is redrawn."""

    def __init__(self, stream: TextIO, *, color: bool = True) -> None:
        self._stream = stream
        self._color = color
        self._running: dict[int, _Step] = {}
        self._finished: list[tuple[str, StepFinished]] = []
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._closed = False
        self._timer = threading.Timer(_SOON, self._start)
        self._timer.daemon = True
        self._timer.start()

    def show(self, event: Event) -> None:
        """Take in one event."""
        # Lines are written without the lock: the thread that draws holds a lock of its own while it takes this one.
        lines: list[str] = []
        with self._lock:
            if isinstance(event, StepStarted):
                self._running[event.step] = _Step(harmless(event.title), time.monotonic())
            elif isinstance(event, StepOutput):
                step = self._running[event.step]
                step.lines.extend(step.reader.feed(event.stream, event.data, event.time))
            elif isinstance(event, StepProgress):
                self._running[event.step].progress[harmless(event.label)] = (event.done, event.total)
            elif isinstance(event, StepFinished):
                lines += self._finish(event)
            elif isinstance(event, Warned):
                place = f"{event.place}: " if event.place else ""
                lines.append(self._styled(f"warning: {harmless(place + event.message)}", "33"))
        for line in lines:
            self._write(line)
        if isinstance(event, BuildFinished):
            self.close()
            if self._finished:
                self._write(f"\n{render_summary(self._finished, event, width=self._width)}")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._timer.cancel()
        with self._lock:
            self._closed = True
            live, self._live = self._live, None
        if live is not None:  # not under the lock: it waits for the thread that draws, which takes it
            live.stop()

    @property
    def _width(self) -> int:
        return shutil.get_terminal_size().columns

    def _start(self) -> None:
        """Begin to redraw."""
        from rich.console import Console
        from rich.live import Live

        console = Console(
            file=self._stream, no_color=not self._color, highlight=False, markup=False, emoji=False
        )
        live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=True)
        with self._lock:
            if self._closed:
                return
            live.start()
            self._live = live

    def _finish(self, event: StepFinished) -> Iterator[str]:
        """The lines that stay of a step that has ended."""
        step = self._running.pop(event.step)
        step.lines.extend(step.reader.finish())
        self._finished.append((step.title, event))
        word, style = _WORDS[event.outcome]
        took = "" if event.outcome is Outcome.HIT else f"  {seconds(event.seconds)}"
        title = shorten(step.title, max(20, self._width - 11 - len(took)))
        yield f"{self._styled(f'{word:>8}', style)} {title}{self._styled(took, '2')}"
        if event.outcome is Outcome.FAILED:
            yield from (f"         │ {line}" for line in step.lines)

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._color and text else text

    def _write(self, text: str) -> None:
        """Write lines that stay. A terminal that has gone stops nothing."""
        try:
            live = self._live
            if live is not None:
                from rich.text import Text

                live.console.print(Text.from_ansi(text), soft_wrap=True)
            else:
                self._stream.write(f"{text}\n")
                self._stream.flush()
        except OSError:
            pass

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        with self._lock:
            # What does not fit into the window cannot be redrawn.
            lines = list(self._moving())[: shutil.get_terminal_size().lines - 2]
            return Group(
                *(Text(line, style=style, no_wrap=True, overflow="ellipsis") for line, style in lines)
            )

    def _moving(self) -> Iterator[tuple[str, str]]:
        """The lines of what runs now, and their styles."""
        now, wall = time.monotonic(), time.time()
        for step in self._running.values():
            yield f"{seconds(now - step.begin):>8} {step.title}", ""
            unfinished = [(label, *sizes) for label, sizes in step.progress.items() if sizes[0] != sizes[1]]
            for label, done, total in unfinished[-_SHOWN:]:
                yield f"         {label} {human(done)}{f' / {human(total)}' if total else ''}", "dim"
            step.lines.extend(step.reader.overdue(wall - _PATIENCE))
            for line in list(step.lines)[-_SHOWN:]:
                yield f"         │ {line}", "dim"
