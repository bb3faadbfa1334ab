"""Events on their way out: steps get their numbers, and the caller gets one event at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from builder.events import Event, Outcome, Reason, StepFinished, StepOutput, StepProgress, StepStarted, Warned

Emit = Callable[[Event], None]
# What labels of progress begin with that is no download.
PUSH = "push "
LOCAL = "read "
# What is counted where it is sent.
SENT = "send "


class Events:
    """Numbers the steps and hands events on, one at a time.

    `started` and `finished` are the steps so far, `build` the build's number in the history once it is there, `sendings` the
    numbers of what goes on when the build has ended.
    """

    def __init__(self, emit: Emit | None) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._count = 0
        self.started: dict[int, StepStarted] = {}
        self.finished: list[StepFinished] = []
        self.build = 0
        self.sendings: list[int] = []
        self.warnings: list[Warned] = []
        self._transferred: dict[tuple[int, str], int] = {}

    def send(self, event: Event) -> None:
        """Hand an event to the caller."""
        with self._lock:
            if isinstance(event, StepFinished):
                self.finished.append(event)
            elif isinstance(event, StepStarted):
                self.started[event.step] = event
            elif isinstance(event, Warned):
                self.warnings.append(event)
            elif isinstance(event, StepProgress):
                self._transferred[event.step, event.label] = event.done
            if self._emit is not None:
                self._emit(event)

    @property
    def heard(self) -> bool:
        """Whether the caller takes events, and so shows warnings to somebody."""
        return self._emit is not None

    def warn(self, message: str, place: str = "") -> None:
        """Tell of something that stops nothing."""
        self.send(Warned(time.time(), message, place))

    def transferred(self) -> tuple[int, int]:
        """The bytes that were fetched from and pushed to other machines, as far as steps told of them."""
        with self._lock:
            sums = [0, 0]
            for (_, label), done in self._transferred.items():
                if not label.startswith((LOCAL, SENT)):
                    sums[label.startswith(PUSH)] += done
            return sums[0], sums[1]

    def start(self, title: str, stage: str, line: int = 0, *, slot: str = "", of: int = -1) -> StepReporter:
        """Begin a step; `slot` names it across builds, `of` is the place of its stage in the build file."""
        with self._lock:
            self._count += 1
            number = self._count
        reporter = StepReporter(self, number, title, slot)
        self.send(StepStarted(time.time(), number, title, stage, line, of))
        return reporter


class StepReporter:
    """Events of one step.

    What is known before its end is put here: `key`, `reasons` and `compared`, which count for every ending, and `digest`.
    """

    def __init__(self, events: Events, number: int, title: str, slot: str = "") -> None:
        self._events = events
        self._begin = time.monotonic()
        self.number = number
        self.title = title
        self.slot = slot
        self.key = b""
        self.reasons: tuple[Reason, ...] = ()
        self.compared = b""
        self.digest = ""
        self.blocked = False  # what it waited for failed, and so it is not carried out

    def output(self, stream: str, data: bytes) -> None:
        """Bytes that the step's command wrote."""
        self._events.send(StepOutput(time.time(), self.number, stream, data))

    def progress(self, label: str, done: int, total: int) -> None:
        """How far a download or the like is, in bytes."""
        self._events.send(StepProgress(time.time(), self.number, label, done, total))

    def local_progress(self, label: str, done: int, total: int) -> None:
        """How far work is that reads files of this machine, in bytes."""
        self.progress(LOCAL + label, done, total)

    def sent_progress(self, label: str, done: int, total: int) -> None:
        """How far something is that is counted where it is sent, in bytes."""
        self.progress(SENT + label, done, total)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Meanwhile the step waits for others: that is no time of its own."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._begin += time.monotonic() - begin

    @property
    def seconds(self) -> float:
        """The time that the step has taken, without that in which it waited for others."""
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
        same: bool = False,
        origin: str = "",
    ) -> None:
        """The step's end; one that only waited for something that failed counts as cancelled."""
        if self.blocked and outcome is Outcome.FAILED:
            outcome, error = Outcome.CANCELLED, ""
        self._events.send(
            StepFinished(
                time.time(),
                self.number,
                outcome,
                self.seconds,
                size,
                (key or self.key).hex(),
                state.hex(),
                reasons or self.reasons,
                error,
                saved,
                self.slot,
                self.digest,
                same,
                self.compared.hex(),
                origin,
            )
        )
