"""Output files that were written: what is still as it was need not be written again."""

from __future__ import annotations

import os
import stat
import time

from builder.store.database import Database

_COARSE_CLOCK = 5  # CLOCK_REALTIME_COARSE, which files get their times by (clock_gettime(2))
_PATIENCE = 0.05
_COARSE = 1_000_000  # a file system whose times are whole milliseconds cannot tell changes apart well enough


class Outputs:
    """Which files hold which results, known by their stat data as in the stat index: device, inode, size, times."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def holds(self, path: str, content: str) -> bool:
        """Whether a file is what `put` saw, and no byte of it was changed since."""
        seen = _stat(path)
        if seen is None:
            return False
        row = self._database.one("SELECT content, stat FROM outputs WHERE path = ?", (os.path.abspath(path),))
        return row == (content, seen)

    def put(self, path: str, content: str) -> None:
        """Take note of a file that was just written.

        Waits for the clock's next tick, a few milliseconds, so that any later change gets another time.
        """
        seen = _stat(path)
        if seen is None:
            return
        if not is_past(os.lstat(path).st_ctime_ns) or _stat(path) != seen:
            return
        self._database.run(
            "INSERT OR REPLACE INTO outputs (path, content, stat) VALUES (?,?,?)",
            (os.path.abspath(path), content, seen),
        )


def is_past(changed: int) -> bool:
    """Whether a file that changed then (`st_ctime_ns`) gets another time when it changes again: waits for the next tick."""
    until = time.monotonic() + _PATIENCE
    while time.clock_gettime_ns(_COARSE_CLOCK) <= changed and time.monotonic() < until:
        time.sleep(0.001)
    return time.clock_gettime_ns(_COARSE_CLOCK) > changed and changed % _COARSE != 0


def _stat(path: str) -> str | None:
    """The stat data of a regular file, None for anything else."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    numbers = (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return " ".join(map(str, numbers))
