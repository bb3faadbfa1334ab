"""What is written to remote caches when commands have ended."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store.store import open_store


def test_a_failure_is_told_by_one_process(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(str(store)) as one, open_store(str(store)) as other:
        number = one.sendings.begin("target", "registry example/c")
        one.sendings.end(number, "nobody is there")
        told: list[str] = []
        seen = one.database.all

        def late(statement: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
            rows = seen(statement, values)
            told.extend(sending.failure for sending in other.sendings.untold())
            return rows

        monkeypatch.setattr(one.database, "all", late)
        told += [sending.failure for sending in one.sendings.untold()]
    assert told == ["nobody is there"]


def test_a_store_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(StoreError, match="there is no store"):
        open_store(str(gone), make=False)
    handed = {"store": str(gone), "userxattr": False, "number": 1, "target": "00", "steps": []}
    call = "from builder.engine.cache_sender import send; send()"
    subprocess.run([sys.executable, "-c", call], input=json.dumps(handed).encode(), check=True)
    assert not gone.exists()


def test_what_was_removed_before_it_was_sent_is_told(store: Path) -> None:
    with open_store(str(store)) as opened:
        number = opened.sendings.begin("target", "local folder")
    step = {
        "slot": "Buildfile",
        "parent": "00" * 16,
        "key": "11" * 16,
        "state": "22" * 16,
        "created": 0.0,
        "seconds": 0.0,
        "size": 0,
        "shared": [["33" * 32, []]],
    }
    handed = {
        "store": str(store),
        "userxattr": False,
        "number": number,
        "target": "00",
        "platform": "linux/amd64",
        "docker_config": None,
        "auth_config": None,
        "to": ["local", {"dest": str(store.parent / "cache")}],
        "from": [],
        "files": {},
        "steps": [step],
    }
    call = "from builder.engine.cache_sender import send; send()"
    subprocess.run([sys.executable, "-c", call], input=json.dumps(handed).encode(), check=True)
    with open_store(str(store)) as opened:
        (failed,) = opened.sendings.untold()
    assert failed.failure.startswith("the files of 1 of 1 steps were removed from the store")


def test_of_caches_that_were_written_long_ago_nothing_is_remembered(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.store.sendings._KEPT", 3)
    with open_store(str(store)) as opened:
        for number in range(10):
            opened.sendings.wrote(f"target {number}", opened.sendings.reserve(f"target {number}", "a place"))
        last = [opened.sendings.last_written(f"target {number}") for number in range(10)]
    assert last == [0, 0, 0, 0, 0, 0, 0, 8, 9, 10]
