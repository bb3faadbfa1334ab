"""How long a build stands still for a remote cache that it reads: no longer than without that cache, but for a few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from builder.cache.place import Place
from builder.errors import ImageError
from builder.image.manifest import Descriptor
from builder.store.ahead import Coming

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
        """The bytes of a blob in pieces; an `ImageError` when they are not worth the wait any more.

        A thread takes what comes, so that whoever waits for it can stop waiting. It is left to itself then.
        """
        coming, patience = Coming(), self._patience
        patience.expect(descriptor.size)
        pieces = self._place.read(descriptor)
        threading.Thread(
            target=coming.fill, args=(pieces, patience.came), name="cache-read", daemon=True
        ).start()
        try:
            while (piece := self._next(coming)) is not None:
                yield piece
        finally:
            coming.stop()

    def _next(self, coming: Coming) -> bytes | None:
        if coming.is_there:
            return coming.take()
        since = time.monotonic()

        def look() -> float:
            objection = self._patience.objection(since)
            if objection:
                raise ImageError(objection)
            return min(max(self._patience.left(), 0.001), _LOOK)

        with self._patience.standing():
            return coming.take(look)
