"""Processes of their own: nobody waits for them, and nothing of them stays behind."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from conftest import DEADLINE

from builder.store import background


def test_a_caller_who_goes_on_is_not_left_with_a_dead_child() -> None:
    before = children()  # of other tests
    assert background.start("os", "getenv", "HOME")
    until = time.monotonic() + DEADLINE
    while (left := children() - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert left == set()


def children() -> set[str]:
    """The processes that this one has begun, dead or alive."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        # A thread may end between the listing and the reading: what it had begun is then another's.
        with suppress(FileNotFoundError, ProcessLookupError):
            found |= set((task / "children").read_text().split())
    return found
