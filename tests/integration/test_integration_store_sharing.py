"""Many processes on one store, from its very first moment on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import DEADLINE

OPEN = (
    "import sys; from builder.store.store import open_store\nwith open_store(sys.argv[1]) as s: s.put_parsed"
)


def test_processes_that_make_the_same_store_at_once(tmp_path: Path) -> None:
    for round_ in range(5):
        path = str(tmp_path / f"store-{round_}")
        line = [sys.executable, "-c", OPEN, path]
        started = [subprocess.Popen(line, stderr=subprocess.PIPE, env=os.environ) for _ in range(12)]
        answers = [process.communicate(timeout=DEADLINE)[1].decode() for process in started]
        assert not any(process.returncode for process in started), answers
