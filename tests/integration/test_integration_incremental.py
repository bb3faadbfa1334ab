"""A COPY that begins with its earlier result ends like one that copies everything: random edits, compared each time."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

import builder
from builder.core.files import link_tree
from builder.engine import incremental
from builder.engine.copy_work import CopyWork
from builder.engine.request import Output
from builder.store.store import Store

ROUNDS = int(os.environ.get("INCREMENTAL_ROUNDS", "200"))
NAMES = ("a", "b", "c d", "é", "deep", ".dot")


@pytest.fixture(autouse=True)
def _small_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "WORTH_IT", 1)
    monkeypatch.setattr(Store, "flush", lambda self: None)  # no power cut is coming


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each COPY that missed could begin with an earlier result."""
    answers: list[bool] = []
    begin = CopyWork.begin_with

    def counted(self: CopyWork, *args: Any, **options: Any) -> bool:
        answers.append(begin(self, *args, **options))
        return answers[-1]

    monkeypatch.setattr(CopyWork, "begin_with", counted)
    return answers


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


def entries(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))


def edit(root: Path, dice: random.Random) -> None:
    """One thing that people do to a tree."""
    there = entries(root)
    folders = [root, *(path for path in there if path.is_dir() and not path.is_symlink())]
    files = [path for path in there if path.is_file() and not path.is_symlink()]
    new = dice.choice(folders) / dice.choice(NAMES)
    kind = dice.randrange(13)
    if kind < 4 and files:
        target = dice.choice(files)
        data = bytes(dice.choices(b"ab", k=dice.choice([0, 1, 5, 5, 5, 300])))
        target.unlink()
        target.write_bytes(data)
    elif kind == 4 and there:
        target = dice.choice(there)
        shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink()
    elif kind == 5 and files:
        dice.choice(files).chmod(dice.choice([0o600, 0o644, 0o755, 0o4755]))
    elif kind == 6 and len(folders) > 1:
        dice.choice(folders[1:]).chmod(dice.choice([0o700, 0o755]))
    elif kind == 7 and files:
        dice.choice(files).rename(new) if not new.is_dir() else None
    elif kind == 8 and not os.path.lexists(new):
        new.mkdir()
        (new / "inside").write_text("x")
        (new / "sub").mkdir()
    elif kind == 9 and not os.path.lexists(new):
        new.symlink_to(dice.choice(["a", "../x", "/etc"]))
    elif kind == 10 and files and not os.path.lexists(new) and dice.randrange(3) == 0:
        os.link(dice.choice(files), new)
    elif kind == 11 and files:
        os.setxattr(dice.choice(files), "user.note", dice.randbytes(2))
    elif not os.path.lexists(new):
        new.write_text(str(dice.random()))


def fill(context: Path) -> None:
    """A tree to begin with, some of it in the base already."""
    for name in ("base", "src"):
        shutil.rmtree(context / name, ignore_errors=True)
    (context / "base/app/src/deep").mkdir(parents=True)
    (context / "base/app/src/a").write_text("of the base\n")
    (context / "base/app/src/deep/b").write_text("ab")
    (context / "src/deep").mkdir(parents=True)
    for name in ("a", "b", "deep/b", "deep/x"):
        (context / "src" / name).write_text("ab")


@pytest.mark.timeout(900)
def test_random_edits_end_like_a_whole_copy(tmp_path: Path, used: list[bool]) -> None:
    dice = random.Random(int(os.environ.get("INCREMENTAL_SEED", "7")))
    context = tmp_path / "context"
    context.mkdir()
    (context / "Buildfile").write_text(
        "FROM scratch\nCOPY base /\nCOPY src /app/src\nCOPY --chown=7:8 src /other/\n"
    )
    for number in range(ROUNDS):
        if number % 20 == 0:
            fill(context)
        for _ in range(dice.randrange(1, 4)):
            edit(context / "src", dice)
        if dice.randrange(8) == 0:  # the steps below stand on something else
            edit(context / "base", dice)
        try:
            whole = build(context, tmp_path / f"store{number}", tmp_path / "whole.tar")
        except builder.BuilderError as error:
            with pytest.raises(builder.BuilderError) as caught:
                build(context, tmp_path / "store", tmp_path / "part.tar")
            assert caught.value.message == error.message
            continue
        finally:
            shutil.rmtree(tmp_path / f"store{number}")
        part = build(context, tmp_path / "store", tmp_path / "part.tar")
        assert part == whole, f"round {number}"
    assert used.count(True) > len(used) / 4
    assert used.count(False) > 0


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
