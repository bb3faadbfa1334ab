"""The history of builds, and what it remembers of records that were pruned."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.events import Outcome, Reason
from builder.store.history import Build, BuildStep
from builder.store.records import Record
from builder.store.store import Store, open_store
from builder.value import replace

BUILD = Build(
    started=1000.5,
    seconds=2.5,
    outcome="failed",
    error="make: exit 2",
    file="Buildfile",
    context="/src",
    target="app",
    stages=("build", "1"),
    platform="linux/amd64",
    image="sha256:1",
    names=("a:1", "b:2"),
    hits=1,
    misses=2,
    saved=0.5,
    counters={"hashed": 12},
)
STEP = BuildStep(
    number=2,
    slot="Buildfile\nbuild\nRunStep",
    title="[build 2/3] RUN make",
    stage="build",
    line=3,
    outcome=Outcome.MISS,
    started=1001.0,
    seconds=1.5,
    size=10,
    key=bytes(range(16)),
    state=bytes(16),
    digest="sha256:2",
    same=True,
    reasons=(Reason("changed", "file a", "a (content) → ü"), Reason("changed", "parent", "because", 1)),
    error="no",
)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "store")) as store:
        yield store


def test_a_build_comes_back_as_it_was_kept(kept: Store) -> None:
    number = kept.history.add(BUILD, [STEP, replace(STEP, number=1, reasons=(), outcome=Outcome.HIT)])
    assert number == 1
    assert kept.history.build(1) == replace(BUILD, number=1)
    first, second = kept.history.steps(1)
    assert second == replace(STEP, build=1)
    assert first == replace(STEP, build=1, number=1, reasons=(), outcome=Outcome.HIT)
    assert kept.history.build(2) is None
    assert kept.history.steps(2) == []


def test_builds_are_listed_from_the_newest_on(kept: Store) -> None:
    for _ in range(5):
        kept.history.add(BUILD, [STEP])
    assert [build.number for build in kept.history.builds()] == [5, 4, 3, 2, 1]
    assert [build.number for build in kept.history.builds(2, before=4)] == [3, 2]
    last = kept.history.last()
    assert last is not None and last.number == 5
    assert [step.build for step in kept.history.of_slot(STEP.slot, 3)] == [5, 4, 3]
    assert [step.build for step in kept.history.steps_of([4, 2])] == [2, 4]


def test_texts_are_kept_once(kept: Store, tmp_path: Path) -> None:
    for _ in range(3):
        kept.history.add(BUILD, [replace(STEP, number=number) for number in range(1, 4)])
    database = sqlite3.connect(tmp_path / "store" / "pybuild.db")
    assert database.execute("SELECT count(*) FROM step_texts").fetchone() == (1,)
    assert database.execute("SELECT count(*) FROM build_steps").fetchone() == (9,)
    database.close()


def test_old_builds_are_forgotten_and_their_numbers_never_used_again(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.store.history.KEPT", 3)
    monkeypatch.setattr("builder.store.history._TRIM_EVERY", 2)
    for number in range(1, 9):
        assert kept.history.add(BUILD, [replace(STEP, title=f"RUN {number}")]) == number
    assert [build.number for build in kept.history.builds()] == [8, 7, 6]
    assert kept.history.steps(5) == []
    assert [step.title for step in kept.history.of_slot(STEP.slot, 9)] == ["RUN 8", "RUN 7", "RUN 6"]


def test_damaged_rows_are_read_without_harm(kept: Store, tmp_path: Path) -> None:
    kept.history.add(BUILD, [STEP])
    database = sqlite3.connect(tmp_path / "store" / "pybuild.db")
    database.execute("UPDATE builds SET names = '{', stages = '7', counters = '[1]', outcome = 'x'")
    database.execute("UPDATE build_steps SET reasons = '[[1]]', outcome = 'x'")
    database.commit()
    database.close()
    build = kept.history.build(1)
    assert build is not None and not build.ok and build.names == build.stages == () and build.counters == {}
    (step,) = kept.history.steps(1)
    assert step.reasons == () and step.outcome is Outcome.CANCELLED


def test_what_was_pruned_is_remembered(kept: Store) -> None:
    record = Record(bytes(range(16)), bytes(16), "slot", (("instruction", "", "RUN"),), 1.0, 2.0, 3)
    kept.records.put(record)
    kept.evictions.note([record.key, b"no such key"], when=50.0)
    assert kept.evictions.when(record.key) == 50.0
    assert kept.evictions.when(b"no such key") is None


def test_only_the_newest_evictions_are_remembered(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.store.evictions.KEPT", 2)
    for number in range(4):
        record = Record(bytes([number] * 16), bytes(16), "slot", (), 1.0, 2.0, 3)
        kept.records.put(record)
        kept.evictions.note([record.key], when=float(number))
    found = [kept.evictions.when(bytes([number] * 16)) for number in range(4)]
    assert found == [None, None, 2.0, 3.0]


def test_a_store_of_the_form_before_the_history_is_taken_on(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with open_store(str(path)) as store:
        store.records.put(Record(b"k" * 16, bytes(16), "slot", (), 1.0, 2.0, 3))
    database = sqlite3.connect(path / "pybuild.db")
    for table in ("builds", "build_steps", "step_texts", "evictions"):
        database.execute(f"DROP TABLE {table}")
    database.execute("PRAGMA user_version = 3")
    database.commit()
    database.close()
    with open_store(str(path)) as store:
        assert store.history.builds() == []
        assert store.history.add(BUILD, [STEP]) == 1
        assert store.records.get(b"k" * 16) is not None


def test_builds_that_end_at_once_have_numbers_of_their_own(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    open_store(path).close()
    numbers: list[int] = []

    def end() -> None:
        with open_store(path) as store:
            numbers.extend(store.history.add(BUILD, [STEP]) for _ in range(20))

    threads = [threading.Thread(target=end) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 81))
    with open_store(path) as store:
        assert all(len(store.history.steps(number)) == 1 for number in numbers)


def test_a_store_that_is_only_looked_at_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        open_store(str(tmp_path / "none"), reading=True)
    assert not (tmp_path / "none").exists()
    path = str(tmp_path / "store")
    open_store(path).close()
    with open_store(path, reading=True) as store, pytest.raises(StoreError):
        store.history.add(BUILD, [STEP])
