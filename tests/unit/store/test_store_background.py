"""Processes of their own: nobody waits for them, and nothing of them stays behind."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from builder.store import background


def test_a_caller_who_goes_on_is_not_left_with_a_dead_child() -> None:
    assert background.start("os", "getenv", "HOME")
    until = time.monotonic() + 60
    while (left := children()) and time.monotonic() < until:
        time.sleep(0.01)
    assert left == []


def children() -> list[str]:
    """The processes that this one has begun, dead or alive."""
    found: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        # A thread may end between the listing and the reading: what it had begun is then another's.
        with suppress(FileNotFoundError, ProcessLookupError):
            found += (task / "children").read_text().split()
    return found
