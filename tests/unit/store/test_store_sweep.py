"""What killed builds left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from builder.errors import CoreError
from builder.store import runs
from builder.store.runs import sweep
from builder.store.store import open_store


def test_what_cannot_be_removed_here_is_left_to_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of subordinate ids: `pybuild images` of an ordinary user has no right to them, its builds do."""

    def refuse(fd: int, name: bytes) -> None:
        raise CoreError("remove", errno.EACCES, os.fsdecode(name), "Permission denied")

    open_store(str(tmp_path)).close()
    (tmp_path / "runs" / "left").mkdir()
    monkeypatch.setattr(runs, "remove_tree", refuse)
    with open_store(str(tmp_path)):
        assert (tmp_path / "runs" / "left").exists()
    monkeypatch.undo()
    with open_store(str(tmp_path)) as store:
        assert not (tmp_path / "runs" / "left").exists()
        assert sweep(store.fd) == 0
