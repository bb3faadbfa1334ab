"""Ctrl-C, SIGTERM and SIGHUP: a build is asked to stop and does so cleanly, anything else is broken off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "asked to end",
    signal.SIGHUP: "the terminal has gone",
}


class _State:
    """What came so far; signals belong to the process, so there is one."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.build: threading.Event | None = None

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Ask a build to stop; the second time, and outside of builds, break off at once."""
        patient = self.build is not None and self.received is None
        self.received = number
        if patient and self.build is not None:
            self.build.set()
            return
        raise KeyboardInterrupt


_state = _State()


@contextmanager
def watched() -> Iterator[None]:
    """Look after the signals while a command runs."""
    _state.received = None
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What is ignored stays so: nohup, and shells for what they run in the background, want it.
    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, _state.receive) for number in heeded]
    try:
        yield
    finally:
        for number, handler in zip(heeded, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that the first signal sets: the word for a build to stop."""
    _state.build = threading.Event()
    try:
        yield _state.build
    finally:
        _state.build = None


def status() -> int:
    """The exit status after a signal, as a shell gives it; 0 if none came."""
    return 128 + _state.received if _state.received is not None else 0


def tell(stream: TextIO) -> int:
    """Say that the command was broken off, and give back its exit status."""
    number = signal.Signals(_state.received or signal.SIGINT)
    try:
        stream.write(f"\n{_WORDS.get(number, 'stopped')}: what was finished is kept\n")
    except OSError:  # nobody reads it
        pass
    return 128 + number
