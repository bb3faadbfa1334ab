"""How long a build stands still for a remote cache that it reads: no longer than without that cache, but for a few seconds."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from builder.cache.place import Place
from builder.errors import ImageError
from builder.image.manifest import Descriptor

# Bytes that may have arrived before somebody takes them.
_MOST = 4 << 20
# Seconds after which somebody who waits looks again whether it is worth it.
_LOOK = 0.25


class Patience:
    """The time that a build has stood still for one cache, and what that was worth. Threads may share it.

    It may stand still for `grace` seconds and for as long as the steps took that were taken from there; `silence` are the seconds
    in which not a byte may come. All times are seconds of `clock`.
    """

    def __init__(self, grace: float, silence: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace, self._silence, self._clock = grace, silence, clock
        self._lock = threading.Lock()
        self._spared = self._stood = self._before = 0.0
        self._standing = 0
        self._since = 0.0
        self._came, self._wanted = 0, 0
        self._heard = 0.0

    def spare(self, seconds: float) -> None:
        """A step was taken from the cache that took others so long."""
        with self._lock:
            self._spared += seconds

    def expect(self, size: int) -> None:
        """So many bytes are waited for from now on."""
        with self._lock:
            if not self._wanted:
                self._before = self._total()
            self._wanted += size
            self._heard = self._clock()

    def came(self, size: int) -> None:
        """Some of them are there."""
        with self._lock:
            self._came += size
            self._heard = self._clock()

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Around everything that waits for the cache. What several threads wait at once counts once."""
        with self._lock:
            if not self._standing:
                self._since = self._clock()
            self._standing += 1
        try:
            yield
        finally:
            with self._lock:
                self._standing -= 1
                if not self._standing:
                    self._stood += self._clock() - self._since

    def left(self) -> float:
        """How long one may stand still from now on."""
        with self._lock:
            return max(self._grace + self._spared - self._total(), 0.0)

    def objection(self, since: float) -> str:
        """Why somebody who has waited since a time should not wait any longer; empty if he may."""
        with self._lock:
            now, stood = self._clock(), self._total()
            allowed = self._grace + self._spared
            if stood >= allowed:
                return (
                    f"it is too slow: the build stood still for it for {stood:.1f} s, and its steps spare "
                    f"{self._spared:.1f} s"
                )
            if now - max(since, self._heard) >= self._silence:
                return f"it has sent nothing for {self._silence:g} s"
            reading = stood - self._before
            if reading < self._grace or not self._came:
                return ""
            rest = (self._wanted - self._came) * reading / self._came
            if stood + rest <= allowed:
                return ""
            return f"it is too slow: its layers would take {rest:.0f} s more, and its steps spare {self._spared:.1f} s"

    def _total(self) -> float:
        return self._stood + (self._clock() - self._since if self._standing else 0.0)


class PatientSource:
    """What a place gives to a build that has only so much patience; an image source of the store."""

    def __init__(self, place: Place, patience: Patience) -> None:
        self._place, self._patience = place, patience

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The manifest of the cache."""
        return self._place.manifest()

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob in pieces; an `ImageError` when they are not worth the wait any more."""
        flow = _Flow(self._place.read(descriptor), descriptor.size, self._patience)
        try:
            yield from flow.pieces()
        finally:
            flow.stop()


class _Flow:
    """A blob on its way: a thread takes what comes, so that whoever waits for it can stop waiting. It is left to itself then."""

    def __init__(self, pieces: Iterator[bytes], size: int, patience: Patience) -> None:
        self._coming, self._patience = pieces, patience
        self._arrived: deque[bytes] = deque()
        self._bytes = 0
        self._done = self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        patience.expect(size)
        threading.Thread(target=self._take, name="cache-read", daemon=True).start()

    def pieces(self) -> Iterator[bytes]:
        while (piece := self._next()) is not None:
            yield piece

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _next(self) -> bytes | None:
        with self._changed:
            if not self._arrived and not self._done:
                self._wait()
            if self._arrived:
                piece = self._arrived.popleft()
                self._bytes -= len(piece)
                self._changed.notify_all()
                return piece
            if self._error is not None:
                raise self._error
            return None

    def _wait(self) -> None:
        since = time.monotonic()
        with self._patience.standing():
            while not self._arrived and not self._done:
                objection = self._patience.objection(since)
                if objection:
                    raise ImageError(objection)
                self._changed.wait(min(max(self._patience.left(), 0.001), _LOOK))

    def _take(self) -> None:
        try:
            for piece in self._coming:
                self._patience.came(len(piece))
                with self._changed:
                    while self._bytes > _MOST and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        break
                    self._arrived.append(piece)
                    self._bytes += len(piece)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        with self._changed:
            self._done = True
            self._changed.notify_all()
