"""The conformance cases: builds with the answers of BuildKit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent / "conformance"
ROOT = HERE.parent.parent

# Cases that ask for what this version says it cannot do yet; each must leave this list when it can.
NOT_YET: frozenset[str] = frozenset()


@pytest.mark.timeout(900)
def test_every_case_has_the_answer_of_buildkit(tmp_path: Path) -> None:
    wrapper = tmp_path / "pybuild"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m builder "$@"\n')
    wrapper.chmod(0o755)
    out = tmp_path / "result.json"
    line = [sys.executable, str(HERE / "conformance.py"), "check", "--builder", str(wrapper), str(HERE)]
    done = subprocess.run([*line, "-j", "2", "--json", str(out)], capture_output=True, text=True)
    result = json.loads(out.read_text())
    unexpected = {name: why for name, why in result["failed"].items() if name not in NOT_YET}
    assert not unexpected, json.dumps(unexpected, indent=1)[:20000]
    assert not NOT_YET & set(result["passed"]), "a case passes that is listed as not yet"
    assert done.stdout.splitlines()[-1].endswith("failed")
