"""A process with the caller's own streams: signals passed on, and a pseudo terminal if one is asked for."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from builder.core.process import Child

__all__ = ["attend", "attend_terminal"]

Streams = tuple[int, int, int]
Start = Callable[[Streams], AbstractContextManager[Child]]
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_TYPED = (signal.SIGINT, signal.SIGQUIT)  # a terminal gives them to a whole group
_CHUNK = 1 << 16
_CHECK_MS = 200  # a signal that comes just before a wait begins does not end it


def attend(start: Start, interactive: bool) -> tuple[int, int | None]:
    """Run with the caller's streams, input only if `interactive`; gives `Child.wait`'s answer."""
    sys.stdout.flush()
    sys.stderr.flush()
    relay = _Relay()
    with relay.handlers(), start((0 if interactive else -1, 1, 2)) as child:
        relay.attach(child)
        return child.wait()


def attend_terminal(start: Start, interactive: bool) -> tuple[int, int | None]:
    """Run on a new pseudo terminal whose other end is joined to the caller's streams."""
    master, slave = os.openpty()
    try:
        _copy_size(master)
        relay = _Relay()
        with relay.handlers(), start((slave, slave, slave)) as child:
            relay.attach(child)
            os.close(slave)
            slave = -1
            with _size_changes(master), _raw_input(interactive):
                _join(child, master, interactive)
            return child.wait()
    finally:
        os.close(master)
        if slave >= 0:
            os.close(slave)


@contextmanager
def _handlers(table: dict[signal.Signals, Callable[[int, object], None]]) -> Iterator[None]:
    """Signal handlers for a while; only the main thread may have any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in table.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Relay:
    """Passes signals on. One that would end any other process ends this one too.

    The kernel keeps a signal from the first process of a pid namespace if that has no handler for it, so such
    a one is killed instead; so is one that stays after a second signal. What comes too early is kept until
    the process is there.
    """

    def __init__(self) -> None:
        self._child: Child | None = None
        self._early: list[int] = []
        self._asked_to_end = False

    def handlers(self) -> AbstractContextManager[None]:
        return _handlers(dict.fromkeys(_PASSED_ON, self._receive))

    def attach(self, child: Child) -> None:
        self._child = child
        for number in self._early:
            self._receive(number, None)

    def _receive(self, number: int, _frame: object) -> None:
        child = self._child
        if child is None:
            self._early.append(number)
        elif number in _ENDING and (self._asked_to_end or not _catches(child.pid, number)):
            child.kill(signal.SIGKILL)
        else:
            self._asked_to_end = self._asked_to_end or number in _ENDING
            if number in _TYPED:
                child.kill_group(number)
            else:
                child.kill(number)


def _catches(pid: int, number: int) -> bool:
    try:
        with open(f"/proc/{pid}/status") as file:
            caught = next(line for line in file if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _copy_size(master: int) -> None:
    import fcntl
    import termios

    try:
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)
    except OSError:
        pass  # standard input is no terminal


def _size_changes(master: int) -> AbstractContextManager[None]:
    return _handlers({signal.SIGWINCH: lambda _number, _frame: _copy_size(master)})


@contextmanager
def _raw_input(interactive: bool) -> Iterator[None]:
    """The caller's terminal passes every key on, and is as before afterwards."""
    if not interactive or not os.isatty(0):
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # what was typed already is kept
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _join(child: Child, master: int, interactive: bool) -> None:
    poll = select.poll()
    poll.register(child.pidfd, select.POLLIN)
    poll.register(master, select.POLLIN)
    if interactive:
        poll.register(0, select.POLLIN)
    ended = False
    while True:
        ready = {fd for fd, _ in poll.poll(0 if ended else _CHECK_MS)}
        if 0 in ready:
            data = os.read(0, _CHUNK)
            if data:
                _write_all(master, data)
            else:
                poll.unregister(0)
                _write_all(master, b"\x04")  # end of input, as typed
        if master in ready:
            try:
                data = os.read(master, _CHUNK)
            except OSError:
                return  # the last process closed the terminal
            _write_all(1, data)
        elif ended:
            return
        ended = ended or child.pidfd in ready


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
