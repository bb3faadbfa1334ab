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


def test_a_blob_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    with open_store(str(tmp_path)) as store:
        child = os.fork()
        if child == 0:
            store.blobs.writer().write(b"half")
            os._exit(0)  # as if killed: nothing is cleaned up
        os.waitpid(child, 0)
        assert len(list((tmp_path / "runs").iterdir())) == 1
        with store.blobs.writer() as writer:
            writer.write(b"whole")
            with open_store(str(tmp_path)):
                assert len(list((tmp_path / "runs").iterdir())) == 1
            digest = writer.commit()
        assert store.blobs.read(digest) == b"whole"
    assert list((tmp_path / "runs").iterdir()) == []
    assert [path.name for path in (tmp_path / "blobs" / "sha256").iterdir()] == [digest.hex]


@pytest.mark.parametrize("moment", ["open", "flock"])
def test_a_run_that_is_swept_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with open_store(str(tmp_path)) as store:
        module = os if moment == "open" else runs.fcntl
        real = getattr(module, moment)
        swept: list[int] = []

        def sweep_first(*args: object, **named: object) -> object:
            monkeypatch.setattr(module, moment, real)
            swept.append(sweep(store.fd))
            return real(*args, **named)

        monkeypatch.setattr(module, moment, sweep_first)
        with store.new_run() as run:
            assert swept == [1]
            assert (tmp_path / run.upper).is_dir()
            assert sweep(store.fd) == 0
