"""What pull and push show while they go on: one line a blob on standard error."""

from __future__ import annotations

import sys
import threading

from builder.report.text import human


class Transfer:
    """Tells of blobs as they begin and end."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._begun: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, label: str, done: int, total: int) -> None:
        """Take note of how far a blob is."""
        with self._lock:
            if self._quiet:
                return
            if label not in self._begun:
                self._begun.add(label)
                print(f"{label}: {human(total)}", file=sys.stderr, flush=True)
            if done == total:
                print(f"{label}: done", file=sys.stderr, flush=True)
