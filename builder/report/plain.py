"""Plain progress: one line after the other, readable in a CI log.

`#7 [build 2/5] RUN make` begins a step, `#7 0.123 text` is a line of its output 0.123 s after it began, and it ends with
`#7 DONE 1.2s`, `#7 CACHED`, `#7 ERROR: why` or `#7 CANCELED`. Steps that run side by side take turns, so that
lines of one stand together: `#7 …` says that it will go on further down.
"""

from __future__ import annotations

import threading
import time

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
from builder.report.summary import render_summary
from builder.report.text import human, seconds
from builder.value import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

# How long a step keeps the floor while others wait with something to say.
_TURN = 5.0
# How long a line that has not ended (a prompt, a dot a second) is held back.
_PATIENCE = 1.0
# Lines that a waiting step may hold back; then it gets the floor at once.
_WAITING = 2000
# A transfer says how far it is after so much of it, or so long.
_PART = 0.05
_OFTEN = 5.0
_KEYWORDS = {Outcome.HIT: "CACHED", Outcome.CANCELLED: "CANCELED"}


@dataclass(slots=True)
class _Step:
    number: int
    title: str
    begin: float
    reader: LineReader = field(default_factory=LineReader)
    told: dict[str, tuple[float, float]] = field(default_factory=dict)
    last: str = ""
    waiting: list[str] = field(default_factory=list)
    named: bool = False
    done: bool = False


class Plain:
    """Shows events as lines of text. A stream that nobody reads any more is left alone, the build goes on."""

    def __init__(self, stream: TextIO, *, clock: bool = True) -> None:
        """`clock` shows lines that have not ended after a while; tests do without."""
        self._stream = stream
        self._lock = threading.Lock()
        self._steps: dict[int, _Step] = {}
        self._current: _Step | None = None
        self._since = 0.0
        self._finished: list[tuple[str, StepFinished]] = []
        self._warned: set[tuple[str, str]] = set()
        self._clock = clock
        self._stop: threading.Event | None = None
        self._broken = False

    def show(self, event: Event) -> None:
        """Show one event."""
        with self._lock:
            if isinstance(event, StepStarted):
                self._steps[event.step] = _Step(event.step, harmless(event.title), event.time)
                self._say(self._steps[event.step], None, event.time)
            elif isinstance(event, StepOutput):
                self._output(self._steps[event.step], event)
            elif isinstance(event, StepProgress):
                self._progress(self._steps[event.step], event)
            elif isinstance(event, StepFinished):
                self._finish(self._steps[event.step], event)
            elif isinstance(event, Warned):
                self._warn(event)
            elif isinstance(event, BuildFinished) and self._finished:
                # One that did not begin needs no table.
                self._write(f"\n{render_summary(self._finished, event)}")
            self._flush()

    def close(self) -> None:
        """Write what was held back."""
        if self._stop is not None:
            self._stop.set()
        with self._lock:
            for step in self._steps.values():
                if step.waiting:
                    self._give_floor(step, time.time())
            self._flush()

    def _output(self, step: _Step, event: StepOutput) -> None:
        for line in step.reader.feed(event.stream, event.data, event.time):
            self._say(step, f"{event.time - step.begin:.3f} {line}", event.time)
        if step.reader.pending and self._clock and self._stop is None:
            self._start_clock()

    def _progress(self, step: _Step, event: StepProgress) -> None:
        share = event.done / event.total if event.total else 0.0
        before, when = step.told.get(event.label, (-1.0, 0.0))
        complete = event.total and event.done >= event.total
        if before >= 1.0 or not (complete or share - before >= _PART or event.time - when >= _OFTEN):
            return
        step.told[event.label] = (1.0 if complete else share, event.time)
        total = f" / {human(event.total)}" if event.total else ""
        text = f"{harmless(event.label)} {human(event.done)}{total}"
        if text != step.last:
            step.last = text
            self._say(step, text, event.time)

    def _finish(self, step: _Step, event: StepFinished) -> None:
        for line in step.reader.finish():
            self._say(step, f"{event.time - step.begin:.3f} {line}", event.time)
        self._finished.append((step.title, event))
        if event.outcome is Outcome.FAILED:
            ending = f"ERROR: {harmless(event.error)}"
        else:
            ending = _KEYWORDS.get(event.outcome) or f"DONE {seconds(event.seconds)}"
            if event.origin:
                ending = f"{ending} from {harmless(event.origin)}"
        step.done = True
        self._say(step, ending, event.time)
        if self._current is not step:
            return
        # Whoever waited longest speaks next; what has ended meanwhile is told at once.
        for other in list(self._steps.values()):
            if other.waiting:
                self._give_floor(other, event.time)
                if not other.done:
                    break

    def _warn(self, event: Warned) -> None:
        if (event.message, event.place) in self._warned:
            return
        self._warned.add((event.message, event.place))
        place = f"{event.place}: " if event.place else ""
        self._write(f"WARNING: {harmless(place + event.message)}")

    def _say(self, step: _Step, text: str | None, now: float) -> None:
        """A line of a step, now or when it has the floor; None is only its title."""
        step.waiting.append(f"#{step.number} {step.title if text is None else text}")
        if text is None:
            step.named = True
        current = self._current
        if (
            current is None
            or current is step
            or current.done
            or now - self._since >= _TURN
            or len(step.waiting) >= _WAITING
        ):
            self._give_floor(step, now)

    def _give_floor(self, step: _Step, now: float) -> None:
        """Let a step say what it has to."""
        current = self._current
        if current is not step:
            if current is not None:
                self._write("" if current.done else f"#{current.number} …\n")
            self._current, self._since = step, now
            if not step.named:
                self._write(f"#{step.number} {step.title}")
        # The next time it gets the floor its name is told again.
        step.named = False
        for line in step.waiting:
            self._write(line)
        step.waiting.clear()

    def _start_clock(self) -> None:
        self._stop = threading.Event()
        threading.Thread(target=self._watch, args=(self._stop,), name="plain-clock", daemon=True).start()

    def _watch(self, stop: threading.Event) -> None:
        """Show lines that wait for their end, and let steps speak whose turn it is."""
        while not stop.wait(_PATIENCE / 2):
            with self._lock:
                now = time.time()
                for step in self._steps.values():
                    for line in step.reader.overdue(now - _PATIENCE):
                        self._say(step, f"{now - step.begin:.3f} {line}", now)
                    if step.waiting and now - self._since >= _TURN:
                        self._give_floor(step, now)
                self._flush()

    def _write(self, text: str) -> None:
        if self._broken:
            return
        try:
            self._stream.write(f"{text}\n")
        except UnicodeEncodeError:  # a log in an old encoding
            self._stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")
        except OSError:
            self._broken = True

    def _flush(self) -> None:
        if self._broken:
            return
        try:
            self._stream.flush()
        except OSError:
            self._broken = True
