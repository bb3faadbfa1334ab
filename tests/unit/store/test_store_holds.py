"""Holds of what a process uses."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store.store import open_store

STATE = b"s" * 16


def test_a_state_is_not_forgotten_because_no_file_could_be_opened(store: Path) -> None:
    with open_store(str(store)) as opened, opened.new_run() as run:
        opened.states.adopt(run, STATE, bytes(16), entries=0, size=0)
    with open_store(str(store)) as opened:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
        fill: list[int] = []
        try:
            while True:
                fill.append(os.dup(0))
        except OSError:
            pass
        try:
            with pytest.raises(StoreError, match="cannot be opened"):
                opened.states.get(STATE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in fill:
                os.close(fd)
        found = opened.states.get(STATE)
        assert found is not None and found.snapshot
