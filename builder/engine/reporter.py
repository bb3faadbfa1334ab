"""Events on their way out: steps get their numbers, and the caller gets one event at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from builder.events import Event, Outcome, Reason, StepFinished, StepOutput, StepProgress, StepStarted, Warned

Emit = Callable[[Event], None]


class Events:
    """Numbers the steps and hands events on, one at a time."""

    def __init__(self, emit: Emit | None) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._count = 0
        self.finished: list[StepFinished] = []

    def send(self, event: Event) -> None:
        """Hand an event to the caller."""
        with self._lock:
            if isinstance(event, StepFinished):
                self.finished.append(event)
            if self._emit is not None:
                self._emit(event)

    def warn(self, message: str, place: str = "") -> None:
        """Tell of something that stops nothing."""
        self.send(Warned(time.time(), message, place))

    def start(self, title: str, stage: str, line: int = 0) -> StepReporter:
        """Begin a step."""
        with self._lock:
            self._count += 1
            number = self._count
        reporter = StepReporter(self, number, title)
        self.send(StepStarted(time.time(), number, title, stage, line))
        return reporter


class StepReporter:
    """Events of one step."""

    def __init__(self, events: Events, number: int, title: str) -> None:
        self._events = events
        self._begin = time.monotonic()
        self.number = number
        self.title = title

    def output(self, stream: str, data: bytes) -> None:
        """Bytes that the step's command wrote."""
        self._events.send(StepOutput(time.time(), self.number, stream, data))

    def progress(self, label: str, done: int, total: int) -> None:
        """How far a download or the like is, in bytes."""
        self._events.send(StepProgress(time.time(), self.number, label, done, total))

    @property
    def seconds(self) -> float:
        """The time since the step began."""
        return time.monotonic() - self._begin

    def finish(
        self,
        outcome: Outcome,
        *,
        size: int = 0,
        key: bytes = b"",
        state: bytes = b"",
        reasons: tuple[Reason, ...] = (),
        error: str = "",
        saved: float = 0.0,
    ) -> None:
        """The step's end."""
        self._events.send(
            StepFinished(
                time.time(),
                self.number,
                outcome,
                self.seconds,
                size,
                key.hex(),
                state.hex(),
                reasons,
                error,
                saved,
            )
        )
