"""A meter: how many bytes go through an open store, counted in large pieces where they are known anyway."""

from __future__ import annotations

import threading

from builder.events import Traffic


class Meter:
    """Sums of bytes; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums = {"read": 0, "hashed": 0, "written": 0, "fetched": 0, "pushed": 0}

    def count(
        self, *, read: int = 0, hashed: int = 0, written: int = 0, fetched: int = 0, pushed: int = 0
    ) -> None:
        """Add some bytes; see `Traffic` for what each is."""
        with self._lock:
            sums = self._sums
            sums["read"] += read
            sums["hashed"] += hashed
            sums["written"] += written
            sums["fetched"] += fetched
            sums["pushed"] += pushed

    @property
    def traffic(self) -> Traffic:
        """The sums by now."""
        with self._lock:
            return Traffic(**self._sums)
