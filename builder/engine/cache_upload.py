"""Sending to one remote cache: in the background while the build goes on, and for a while at its end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from builder.cache.target import Target
from builder.engine.cache_turn import Turn
from builder.errors import BuilderError, CacheLostError, DamageError
from builder.value import dataclass

# The lowest priority there is: layers are packed when no step of the build wants the processor.
_POLITENESS = 19
_AT_ONCE = 4
# Seconds that a build has for itself: a short one has its outputs before anything is packed beside it.
_HEAD_START = 3.0
_LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an export may take at its end, in seconds: `most` as a whole (None: what its spec says); after `trial` it can be
    told how long the rest will take, and whether anybody answers; writing the records may take `last`.
    """

    most: float | None
    trial: float
    last: float


# Somebody waits.
AT_THE_END = Limits(None, 5.0, 10.0)


class Upload:
    """The traffic to one target: one thread while the build goes on, several at its end. What goes wrong is `target.failed`."""

    def __init__(self, target: Target, turn: Turn) -> None:
        self.target, self.turn = target, turn
        self.taken: set[bytes] = set()
        """The states whose layers are on their way, or there."""
        # Not a `queue`, which brings more than it gives here.
        self._waiting: list[Callable[[], object]] = []
        self._busy = 0
        self.ending = self._stopped = False
        self.halting = threading.Event()
        """Set when what is being packed is not wanted any more."""
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        # What nobody will wait for goes at once, or never.
        self._begin = time.monotonic() + (_HEAD_START if target.spec.last_wait else 0.0)

    def put(self, job: Callable[[], object]) -> None:
        """Something to be sent, in its turn."""
        with self._changed:
            if self._stopped:
                return
            self._waiting.append(job)
            if len(self._threads) < (_AT_ONCE if self.ending else 1):
                self._start()
            self._changed.notify()

    def _start(self) -> None:
        self._threads.append(threading.Thread(target=self._work, name="cache-export", daemon=True))
        self._threads[-1].start()

    def end(self) -> None:
        """The build is done: from now on people wait, and several jobs go on at once."""
        with self._changed:
            self.ending = True
            while len(self._threads) < min(_AT_ONCE, len(self._waiting)) and not self._stopped:
                self._start()
            self._changed.notify_all()

    def settle(self, check: Callable[[], object], limits: Limits = AT_THE_END) -> bool:
        """Wait until all is sent; False if that is not worth the time, and then nothing is sent any more.

        `check` is asked now and then, and raises if the build is to stop.
        """
        begin, moved = time.monotonic(), self.target.moved
        while not self._is_idle():
            check()
            if self._is_hopeless(limits, time.monotonic() - begin, self.target.moved - moved):
                self.stop()
                return False
        return True

    def stop(self) -> None:
        """Break off what is being packed or sent, and drop what is not yet."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()
        self.halting.set()
        self.target.halt()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _is_idle(self) -> bool:
        with self._changed:
            if self._waiting or self._busy:
                self._changed.wait(_LOOK)
            return not self._waiting and not self._busy

    def _is_hopeless(self, limits: Limits, seconds: float, moved: int) -> bool:
        """Whether the rest would take longer than it may, by what was sent in the seconds since."""
        most, rest = self.target.spec.last_wait if limits.most is None else limits.most, self.target.rest
        if seconds >= most:
            return True
        if seconds < limits.trial:
            return False
        if self.target.silence >= limits.trial:
            return True
        if not rest:
            return False
        return not moved or seconds + rest * seconds / moved > most

    def _work(self) -> None:
        if not self.ending:
            try:
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _POLITENESS)
            except OSError:
                pass
        with self._changed:
            while not (self.ending or self._stopped) and (left := self._begin - time.monotonic()) > 0:
                self._changed.wait(left)
        while True:
            with self._changed:
                while not self._waiting and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                job = self._waiting.pop(0)
                self._busy += 1
            try:
                self._guarded(job)
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _guarded(self, job: Callable[[], object]) -> None:
        """One job; a failure ends the export to this target and nothing else."""
        if self.target.failed is not None or self._stopped:
            return
        failed: BuilderError
        try:
            job()
            return
        except CacheLostError as error:
            if not self.ending:  # of a cache that is read: the step is carried out after all, and comes again
                return
            failed = error
        except BuilderError as error:
            failed = error
        except OSError as error:
            failed = BuilderError(error.strerror or str(error))
        except Exception as error:  # whatever a place's library raises
            failed = BuilderError(f"{type(error).__name__}: {str(error)[:200]}")
        self._fail(failed)

    def _fail(self, error: BuilderError) -> None:
        # One that makes the build begin again stays; what comes after `stop` is its work.
        if not self._stopped and not isinstance(self.target.failed, DamageError):
            self.target.failed = error
