"""Each example, built as its files say, and run; the library underneath."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEADLINE, PYBUILD, ROOT, Run

import builder
from builder.events import Outcome, StepFinished

EXAMPLES = ROOT / "examples"


def test_the_layered_web_application(tmp_path: Path) -> None:
    """The demo itself fails if editing the application makes more than one layer new."""
    env = dict(os.environ, PYBUILD_STORE=str(tmp_path / "store"))
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py"), *PYBUILD],
        env=env,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 6 layers" in done.stdout
    assert "site/index.html (content" in done.stderr
    assert "Greetings from the top layer" in done.stdout


@pytest.fixture(scope="module")
def debian_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with the base image debian:local, made once."""
    store = str(tmp_path_factory.mktemp("debian") / "store")
    env = dict(os.environ, PYBUILD_STORE=store, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [str(EXAMPLES / "bases/debian"), *PYBUILD], env=env, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return store


def test_the_c_program_in_an_image_of_one_file(pybuild: Run, debian_store: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    pybuild("build", "--store", debian_store, "-t", "hello", "-o", "type=image", "-o", f"type=local,dest={folder}",
            EXAMPLES / "c-multistage", timeout=DEADLINE)  # fmt: skip
    assert [path.name for path in folder.iterdir()] == ["hello"]
    ran = pybuild("run", "--store", debian_store, "hello", "layers")
    assert ran.stdout == "Hello, layers, from process 1\n"


def test_the_python_application(pybuild: Run, debian_store: str) -> None:
    pybuild("build", "--store", debian_store, "-t", "words", EXAMPLES / "python-app", timeout=DEADLINE)
    assert pybuild("run", "--store", debian_store, "words").stdout == "fingerprint\n"
    assert pybuild("run", "--store", debian_store, "words", "--shortest").stdout == "key\n"


def test_the_library(bases: Path, context: Path, tmp_path: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN echo hello > /h\n")
    seen: list[object] = []
    arguments = {
        "store": str(tmp_path / "store"),
        "build_contexts": {"base": f"oci-layout://{bases / 'base'}"},
    }
    result = builder.build(str(context), tags=["example/app"], on_event=seen.append, **arguments)
    assert result.image_id.startswith("sha256:")
    assert [step.outcome for step in result.steps] == [Outcome.MISS, Outcome.MISS, Outcome.DONE]
    assert [event for event in seen if isinstance(event, StepFinished)] == list(result.steps)
    again = builder.build(str(context), **arguments)
    assert again.image_id == result.image_id
    with pytest.raises(builder.BuilderError) as caught:
        builder.build(str(context), target="nope", **arguments)
    assert "nope" in caught.value.message
