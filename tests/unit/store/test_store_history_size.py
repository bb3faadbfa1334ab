"""A long history costs no more than a short one: 1,000 builds of 50 steps."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.cli.main import main
from builder.engine.explaining import explain_build
from builder.events import Outcome, Reason
from builder.store.history import Build, BuildStep
from builder.store.store import Store, open_store

BUILDS, STEPS = 1000, 50
SLOT = "Buildfile\n0\nRunStep"


def steps_of(number: int) -> list[BuildStep]:
    """The steps of a build of which those from one on missed, each because of the one above it."""
    first = number % STEPS + 1
    found = []
    for step in range(1, STEPS + 1):
        cause = Reason("changed", "parent", f"because step {step - 1} changed: RUN {step - 1}", step - 1)
        own = Reason("changed", f"file src/{step}", f"src/{step} (content 10 → 12 bytes)")
        miss = step >= first
        found.append(
            BuildStep(
                number=step,
                slot=SLOT,
                title=f"[{step:>2}/{STEPS}] RUN {step}",
                stage="",
                line=step,
                outcome=Outcome.MISS if miss else Outcome.HIT,
                started=float(number),
                seconds=0.1,
                key=bytes([number % 251, step] * 8),
                state=bytes([step] * 16),
                reasons=(own if step == first else cause,) if miss else (),
            )
        )
    return found


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long") / "store"
    with open_store(str(folder)) as store:
        for number in range(BUILDS):
            store.history.add(Build(float(number), 5.0, "done", "", "Buildfile", "/src"), steps_of(number))
    return folder


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_store(str(path), reading=True) as opened:
        yield opened


@contextlib.contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """Gathers the SQL that is carried out."""
    connection: sqlite3.Connection = store.history._database._connection
    found: list[str] = []
    connection.set_trace_callback(found.append)
    try:
        yield found
    finally:
        connection.set_trace_callback(None)


@pytest.mark.parametrize(
    ("ask", "count"),
    [
        (explain_build, 2),
        (lambda store: explain_build(store, 17), 2),
        (lambda store: explain_build(store, 500, "50"), 2),
        (lambda store: explain_build(store, -3), 2),
        (lambda store: store.history.recent(SLOT, f"[ 7/{STEPS}] RUN 7", "", 8), 1),
        (lambda store: store.history.builds(20), 1),
        (lambda store: store.history.steps_of(range(980, 1000)), 1),
        (lambda store: store.records.nearest(SLOT, 128, evicted=True), 1),
        (lambda store: store.records.met(SLOT), 1),
        (lambda store: store.records.made(b"s" * 16), 1),
        (lambda store: store.evictions.when(b"k"), 1),
    ],
)
def test_what_is_asked_is_found_by_an_index(store: Store, ask: Callable[[Store], object], count: int) -> None:
    with statements(store) as asked:
        ask(store)
    assert len(asked) == count, asked
    connection = store.history._database._connection
    for statement in asked:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        scans = [
            line
            for line in plan
            if line.startswith("SCAN") and not line.startswith(("SCAN CONSTANT", "SCAN builds"))
        ]
        assert not scans, (statement, plan)
        # The newest builds are read from the end of their table, and no more of them than are wanted.
        assert "SCAN builds" not in plan or " LIMIT " in statement


def test_the_chain_of_the_longest_build_is_whole(store: Store) -> None:
    number = 1 + BUILDS - STEPS  # its first step missed
    found = explain_build(store, number)
    assert [len(one.chain) for one in found.steps] == list(range(STEPS))
    assert found.steps[-1].root.number == 1


def test_the_command_tells_any_of_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYBUILD_STORE", str(path))
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    assert main(["explain", "--format", "json", str(1 + BUILDS - STEPS)]) == 0
    assert len(json.loads(out.getvalue())["steps"]) == STEPS


def test_the_history_is_as_large_as_what_it_tells(path: Path) -> None:
    size = sum(file.stat().st_size for file in path.glob("pybuild.db*"))
    assert size < BUILDS * STEPS * 300, f"{size / BUILDS / STEPS:.0f} bytes a step"
