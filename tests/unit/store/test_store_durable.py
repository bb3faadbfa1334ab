"""What was made counts after a power cut when it is on the disk, whoever brings it there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import DEADLINE, Run

from builder.store import durable
from builder.store.records import Record
from builder.store.store import Store, open_store

STATE = b"s" * 16


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync of this process waits for what all others write."""
    monkeypatch.setattr(durable, "sync_file_system", lambda fd: None)


def put(store: Store, key: bytes = b"k" * 16, created: float = 1.0) -> None:
    store.records.put(
        Record(key=key, state=STATE, slot="", parts=(), created=created, seconds=0, size=0, listing="")
    )


def marks(store: Path) -> list[int]:
    with open_store(str(store)) as opened:
        rows = opened.database.all("SELECT durable FROM records UNION ALL SELECT durable FROM states")
    return [int(row[0]) for row in rows]


def test_what_is_there_is_marked_after_the_sync(store: Path) -> None:
    with open_store(str(store)) as opened:
        put(opened)
        assert durable.pending(opened.database, opened.boot) == (1, 0)
    assert marks(store) == [0]
    durable.finish(str(store))
    assert marks(store) == [1]


def test_what_is_made_anew_during_the_sync_is_not_marked(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(str(store)) as opened:
        put(opened, b"a" * 16)
        put(opened, b"b" * 16)
        monkeypatch.setattr(durable, "sync_file_system", lambda fd: put(opened, b"b" * 16, created=2.0))
        opened.flush()
        rows = opened.database.all("SELECT key, durable FROM records ORDER BY key")
    assert rows == [(b"a" * 16, 1), (b"b" * 16, 0)]


def test_little_is_marked_at_once_and_much_by_a_process(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(durable, "begin", lambda path: not begun.append(path))
    with open_store(str(store)) as opened:
        put(opened)
        opened.flush(wait=False)
        assert begun == [] and marks(store) == [1]
        put(opened, b"l" * 16)
        opened.meter.count(written=1 << 30)
        opened.flush(wait=False)
        assert begun == [str(store)] and sorted(marks(store)) == [0, 1]
        opened.flush()
    assert begun == [str(store)] and marks(store) == [1, 1]


def test_a_process_that_cannot_be_had_is_done_without(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nosuch/python")
    with open_store(str(store)) as opened:
        put(opened)
        opened.meter.count(written=1 << 30)
        opened.flush(wait=False)
    assert marks(store) == [1]


def test_a_store_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    durable.finish(str(tmp_path / "gone"))
    assert not (tmp_path / "gone").exists()
    (tmp_path / "empty").mkdir()
    durable.finish(str(tmp_path / "empty"))
    assert list((tmp_path / "empty").iterdir()) == []


def write_many(context: Path) -> None:
    (context / "src").mkdir(parents=True)
    for number in range(2001):
        (context / "src" / f"{number}").touch()
    (context / "Buildfile").write_text("FROM scratch\nCOPY src /src\n")


def test_the_command_ends_before_the_disk_has_what_it_made(
    pybuild: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    write_many(tmp_path / "context")
    pybuild("build", "-q", tmp_path / "context")
    deadline = time.monotonic() + DEADLINE
    while 0 in marks(store) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marks(store) == [1, 1]


def test_in_ci_the_command_waits(
    pybuild: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes of a job end with it, and the store may go to the machine of the next one."""
    monkeypatch.setenv("CI", "true")
    write_many(tmp_path / "context")
    pybuild("build", "-q", tmp_path / "context")
    assert marks(store) == [1, 1]
