"""Processes of their own: nobody waits for them, and nothing of them stays behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

from builder.store import background


def test_a_caller_who_goes_on_is_not_left_with_a_dead_child(tmp_path: Path) -> None:
    assert background.start("builder.store.durable", "finish", str(tmp_path))
    until = time.monotonic() + 60
    while (left := children()) and time.monotonic() < until:
        time.sleep(0.01)
    assert left == []


def children() -> list[str]:
    """The processes that this one has begun, dead or alive."""
    tasks = Path("/proc/self/task")
    return [pid for task in os.listdir(tasks) for pid in (tasks / task / "children").read_text().split()]
