"""A source distribution, a wheel from it, and the wheel in a clean environment, away from the sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.mark.timeout(1800)  # the C core is compiled twice, and packages are fetched
def test_the_wheel_works_without_the_sources(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*line: str | Path, **options: object) -> str:
        settings: dict[str, object] = {"capture_output": True, "text": True, "env": env}
        done = subprocess.run([str(word) for word in line], **{**settings, **options})  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return str(done.stdout)

    run(sys.executable, "-m", "build", "--outdir", tmp_path / "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "-q", wheel)
    assert run(tmp_path / "venv/bin/pybuild", "--version", cwd=tmp_path).startswith("pybuild ")
    code = (
        "import sys; from builder.buildfile.parse import parse; "
        "print(parse(b'FROM a${B:-c}', 'x').instructions[0].image.text, 'lark' in sys.modules)"
    )
    assert run(python, "-c", code, cwd=tmp_path) == "a${B:-c} False\n"  # the tables came along
    assert "site-packages" in run(python, "-c", "import builder; print(builder.__file__)", cwd=tmp_path)


def test_a_missing_compiler_is_said_in_one_line() -> None:
    line = [sys.executable, "setup.py", "build_ext"]
    done = subprocess.run(
        line, cwd=ROOT, env=dict(os.environ, CC="no-such-cc"), capture_output=True, text=True
    )
    assert done.returncode != 0
    assert done.stderr.strip() == (
        "pybuild cannot be built: the C compiler no-such-cc is missing; on Debian: apt-get install gcc libc6-dev"
    )


def test_a_missing_header_is_said_in_one_line() -> None:
    line = [sys.executable, "setup.py", "build_ext"]
    env = dict(os.environ, CC="gcc -nostdinc")
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert "header" in done.stderr
