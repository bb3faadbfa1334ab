"""A COPY that begins with its earlier result ends like one that copies everything. Random edits: test_integration_edits.py."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

import builder
from builder.core.files import link_tree
from builder.engine import incremental
from builder.engine.request import Output
from builder.store.store import Store


@pytest.fixture(autouse=True)
def _small_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "WORTH_IT", 1)
    monkeypatch.setattr(Store, "flush", lambda self, wait: None)  # no power cut is coming


def contents(archive: Path) -> dict[str, tuple[Any, ...]]:
    """All about the entries of a tar but times."""
    found: dict[str, tuple[Any, ...]] = {}
    with tarfile.open(archive) as tar:
        for entry in tar:
            stream = tar.extractfile(entry) if entry.isfile() else None
            digest = hashlib.sha256(stream.read()).hexdigest() if stream else ""
            xattrs = sorted(item for item in entry.pax_headers.items() if item[0].startswith("SCHILY"))
            link = entry.linkname if entry.issym() else ""
            found[entry.name] = (
                entry.type,
                entry.mode,
                entry.uid,
                entry.gid,
                entry.size,
                link,
                digest,
                str(xattrs),
            )
            if entry.islnk():  # names of one file are equal files, for keys too
                found[entry.name] = found[entry.linkname]
    return found


def build(context: Path, store: Path, out: Path) -> dict[str, tuple[Any, ...]]:
    builder.build(str(context), store=str(store), outputs=[Output("tar", str(out))])
    return contents(out)


def test_the_same_files_have_the_same_state_either_way(tmp_path: Path, used: list[bool]) -> None:
    context = tmp_path / "context"
    (context / "src").mkdir(parents=True)
    for name in "abc":
        (context / "src" / name).write_text(name)
    (context / "Buildfile").write_text("FROM scratch\nCOPY src /src\n")

    def state(**options: Any) -> str:
        result = builder.build(str(context), store=str(tmp_path / "store"), **options)
        return result.steps[0].state

    first = state()
    (context / "src/b").write_text("B")
    second = state()
    (context / "Buildfile").write_text("FROM scratch\nCOPY src /src/\n")  # another key, the same files
    assert state() == second
    (context / "src/b").write_text("b")
    assert state() == first
    assert used == [True, True]  # the edit, and the way back under the second key


def test_snapshots_with_too_many_links_are_copied(
    tmp_path: Path, used: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    from builder.errors import CoreError

    context = tmp_path / "context"
    (context / "src").mkdir(parents=True)
    for name in "abc":
        (context / "src" / name).write_text(name)
    (context / "Buildfile").write_text("FROM scratch\nCOPY src /src\n")
    build(context, tmp_path / "store", tmp_path / "out.tar")

    def half(source: int, dest: int) -> None:
        link_tree(source, dest)
        raise CoreError("link", 31, "a", "too many links")

    monkeypatch.setattr(incremental, "link_tree", half)
    (context / "src/b").unlink()
    found = build(context, tmp_path / "store", tmp_path / "out.tar")
    assert sorted(found) == ["src/", "src/a", "src/c"] or sorted(found) == ["src", "src/a", "src/c"]
    assert used[-1] is False


def test_a_step_that_changed_nothing_is_no_beginning(tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "base/app").mkdir(parents=True)
    (context / "src").mkdir()
    for name in ("base/app/x", "base/app/y", "src/x"):
        (context / name).write_text("same")
        os.utime(context / name, (1, 1))
    (context / "Buildfile").write_text("FROM scratch\nCOPY base /\nCOPY src /app/\n")
    build(context, tmp_path / "store", tmp_path / "out.tar")
    shutil.rmtree(
        context / "base/app"
    )  # now the first step changes nothing, and the second stands on nothing
    (context / "src/x").write_text("other")
    found = build(context, tmp_path / "store", tmp_path / "out.tar")
    assert not [name for name in found if name.endswith("y")]


def test_a_new_folder_where_the_base_has_a_link(tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "base/app/elsewhere").mkdir(parents=True)
    (context / "base/app/d").symlink_to("elsewhere")
    (context / "src").mkdir()
    (context / "src/x").write_text("x")
    (context / "Buildfile").write_text("FROM scratch\nCOPY base /\nCOPY src /app/\n")
    build(context, tmp_path / "store", tmp_path / "out.tar")
    (context / "src/d").mkdir()
    (context / "src/d/f").write_text("f")
    with pytest.raises(builder.BuilderError, match="something else there than a directory"):
        build(context, tmp_path / "store", tmp_path / "out.tar")


def test_a_new_folder_where_the_base_has_one(tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "base/app/d").mkdir(parents=True)
    (context / "src").mkdir()
    (context / "src/x").write_text("x")
    (context / "Buildfile").write_text("FROM scratch\nCOPY base /\nCOPY src /app/\n")
    build(context, tmp_path / "store", tmp_path / "out.tar")
    (context / "src/d").mkdir(mode=0o700)
    found = build(context, tmp_path / "store", tmp_path / "out.tar")
    assert {name.rstrip("/"): entry[1] for name, entry in found.items()}["app/d"] == 0o700
