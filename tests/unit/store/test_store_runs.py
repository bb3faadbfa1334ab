"""Where the files of a step are made."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import Run

from builder.store import runs
from builder.store.store import open_store


def flags(path: Path) -> str:
    """The flags of a folder as lsattr shows them, empty where the file system has none."""
    done = subprocess.run(["lsattr", "-d", path], capture_output=True, text=True)
    return done.stdout.split()[0] if done.returncode == 0 else ""


@pytest.mark.parametrize("refused", [False, True])
def test_a_spread_run_is_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool) -> None:
    if refused:  # as file systems without flags do
        monkeypatch.setattr(runs, "_GET_FLAGS", 0)
    with open_store(str(tmp_path)) as store, store.new_run() as run:
        run.spread()
        folder = tmp_path / "runs" / run.name
        assert sorted(os.listdir(folder)) == ["scratch", "upper", "work"]
        assert stat.S_IMODE(os.stat(folder / "upper").st_mode) == 0o755
        if flags(tmp_path):
            assert ("T" in flags(folder)) is not refused
            assert "T" not in flags(folder / "upper")
    assert os.listdir(tmp_path / "runs") == []


def test_only_steps_with_many_files_ask_for_it(
    pybuild: Run, context: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builder

    spread: list[str] = []
    monkeypatch.setattr(runs.Run, "spread", lambda run: spread.append(run.name))
    (context / "src").mkdir()
    for number in range(1000):
        (context / "src" / f"{number}").touch()
    (context / "Buildfile").write_text("FROM scratch\nCOPY src/1 /\nWORKDIR /w\n")
    builder.build(str(context), store=str(store))
    assert not spread
    (context / "Buildfile").write_text("FROM scratch\nCOPY src /src\n")
    builder.build(str(context), store=str(store))
    assert len(spread) == 1
