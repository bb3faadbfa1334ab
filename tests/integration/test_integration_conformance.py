"""The conformance cases: builds with the answers of BuildKit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent / "conformance"
ROOT = HERE.parent.parent


def check(tmp_path: Path, *args: str, store: Path | None = None, suite: Path = HERE) -> None:
    """Run all cases of a suite; with `store` in that one, else in stores that the runner makes."""
    wrapper = tmp_path / "pybuild"
    setting = f"PYBUILD_STORE={store} " if store else ""
    wrapper.write_text(f'#!/bin/sh\nexec env {setting}PYTHONPATH={ROOT} {sys.executable} -m builder "$@"\n')
    wrapper.chmod(0o755)
    out = tmp_path / "result.json"
    line = [sys.executable, str(HERE / "conformance.py"), "check", "--builder", str(wrapper), str(suite)]
    done = subprocess.run([*line, "-j", "2", "--json", str(out), *args], capture_output=True, text=True)
    result = json.loads(out.read_text())
    assert not result["failed"], json.dumps(result["failed"], indent=1)[:20000]
    assert len(result["passed"]) == len(list((suite / "cases").iterdir()))
    assert done.returncode == 0


@pytest.mark.timeout(1800)
def test_every_case_has_the_answer_of_buildkit_and_again_from_the_cache(tmp_path: Path) -> None:
    for _ in range(2):
        check(tmp_path, store=tmp_path / "store")


@pytest.mark.timeout(1800)
def test_every_case_has_the_answer_of_buildkit_in_a_store_of_its_own(tmp_path: Path) -> None:
    check(tmp_path, "--fresh-store")


@pytest.mark.timeout(1800)
def test_the_cases_of_our_own_have_the_answer_of_buildkit(tmp_path: Path) -> None:
    check(tmp_path, store=tmp_path / "store", suite=HERE / "more")
