"""What is remembered of the files of states goes with the states."""

from __future__ import annotations

from pathlib import Path

from builder.store.lost import sweep_lost
from builder.store.store import open_store


def test_what_damaged_files_are_called_is_forgotten(store: Path) -> None:
    state = bytes(range(16))
    with open_store(str(store)) as opened:
        opened.contents.put(state, "/d", "damaged", portable=False)
        opened.states.forget(state)
        assert opened.contents.get(state, "/d", portable=False) is None


def test_what_files_of_no_state_are_called_is_swept(store: Path) -> None:
    with open_store(str(store)) as opened:
        opened.contents.put(bytes(range(16)), "/d", "name", portable=True)
        assert sweep_lost(opened) is not None
        assert opened.database.all("SELECT * FROM contents") == []
