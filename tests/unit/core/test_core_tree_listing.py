"""Listings: what changed between two selections, told in few words."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from builder.core.tree import Change, Ignore, Tree, listing_diff
from builder.errors import CoreError

SECRET = random.Random(7).randbytes(192)


def keep(root: Path, file: Path, *paths: bytes, **options: object) -> str:
    fd = os.open(root, os.O_RDONLY)
    with Tree(fd, secret=SECRET) as tree:
        nodes = [tree.find(path, follow=False) for path in paths or (b"",)]
        tree.save_listing(nodes, str(file), **options)  # type: ignore[arg-type]
    os.close(fd)
    return str(file)


def make(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("x")
    (root / "a" / "other").write_text("x")
    (root / "a" / "z").mkdir()
    (root / "a" / "z" / "last").write_text("x")
    (root / "link").symlink_to("a")


def changes(tmp_path: Path, *edits: object, **options: object) -> list[tuple[str, str, str]]:
    root = tmp_path / "root"
    make(root)
    old = keep(root, tmp_path / "old", **options)
    for edit in edits:
        edit(root)  # type: ignore[operator]
    found, total = listing_diff(old, keep(root, tmp_path / "new", **options), SECRET)
    assert total == len(found)
    return [(change.kind, change.path, change.detail) for change in found]


def test_nothing_changed(tmp_path: Path) -> None:
    assert changes(tmp_path, lambda root: os.utime(root / "a" / "other", (1, 1))) == []


def test_every_kind_of_change_in_the_order_of_paths(tmp_path: Path) -> None:
    def edit(root: Path) -> None:
        (root / "a" / "b" / "file").write_text("longer")
        (root / "a" / "b").chmod(0o700)
        (root / "a" / "other").unlink()
        (root / "a" / "other").mkdir()
        (root / "a" / "z" / "last").write_text("y")
        (root / "a" / "z" / "new").write_text("")
        os.setxattr(root / "a" / "z", "user.a", b"1")
        (root / "link").unlink()
        (root / "link").symlink_to("a/b")

    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "gone").write_text("")
    assert changes(tmp_path, edit, lambda root: (root / "gone").unlink()) == [
        ("removed", "gone", ""),
        ("target", "link", ""),
        ("mode", "a/b", "0755 → 0700"),
        ("type", "a/other", "file → folder"),
        ("xattrs", "a/z", ""),
        ("content", "a/b/file", "1 → 6 bytes"),
        ("content", "a/z/last", ""),
        ("added", "a/z/new", ""),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_owners_and_devices(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    os.mknod(tmp_path / "root" / "dev", 0o020644, os.makedev(1, 3))

    def edit(root: Path) -> None:
        os.chown(root / "a" / "other", 5, 6)
        (root / "dev").unlink()
        os.mknod(root / "dev", 0o020644, os.makedev(1, 5))

    assert changes(tmp_path, edit) == [
        ("type", "dev", "device 1:3 → 1:5"),
        ("owner", "a/other", "0:0 → 5:6"),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_owners_left_out(tmp_path: Path) -> None:
    assert changes(tmp_path, lambda root: os.chown(root / "a", 5, 6), without_owner=True) == []


def test_odd_names_stay_on_their_lines(tmp_path: Path) -> None:
    names = [
        "tab\there",
        "line\nbreak",
        "next\x85line",
        "sep\u2028arator",
        "back\\slash",
        os.fsdecode(b"\xff"),
    ]

    def edit(root: Path) -> None:
        for name in names:
            (root / name).write_text("")

    found = changes(tmp_path, edit)
    assert {kind for kind, _, _ in found} == {"added"}
    shown = {
        "tab\\x09here",
        "line\\x0abreak",
        "next\x85line",
        "sep\u2028arator",
        "back\\x5cslash",
        os.fsdecode(b"\xff"),
    }
    assert {path for _, path, _ in found} == shown


def test_a_limit_keeps_the_count(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(root)
    old = keep(root, tmp_path / "old")
    for i in range(30):
        (root / f"new{i:02}").write_text("")
    found, total = listing_diff(old, keep(root, tmp_path / "new"), SECRET, limit=3)
    assert found == tuple(Change("added", f"new{i:02}", "") for i in range(3))
    assert total == 30
    assert listing_diff(old, str(tmp_path / "new"), SECRET, limit=0) == ((), 30)


def test_selections_of_several_nodes_and_exclusions(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(root)
    old = keep(root, tmp_path / "old", b"link", b"a/z", b"a/other", exclude=Ignore(["last"]))
    (root / "a" / "z" / "last").write_text("not seen")
    (root / "a" / "b" / "file").write_text("not chosen")
    new = keep(root, tmp_path / "new", b"link", b"a/z", b"a/other", exclude=Ignore(["last"]))
    assert listing_diff(old, new, SECRET) == ((), 0)
    (root / "a" / "z" / "more").write_text("")
    new = keep(root, tmp_path / "new", b"a/z", b"a/other")
    found, _ = listing_diff(old, new, SECRET)
    assert [(change.kind, change.path) for change in found] == [
        ("removed", "link"), ("added", "a/z/last"), ("added", "a/z/more"),
    ]  # fmt: skip


def test_a_change_deep_in_a_large_tree_agrees_with_diff(tmp_path: Path) -> None:
    root, rng = tmp_path / "root", random.Random(8)
    for i in range(400):
        folder = root / f"{i % 7}" / f"{i % 5}" / f"{i % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{i}").write_text(str(i))
    old = keep(root, tmp_path / "old")
    subprocess.run(["cp", "-a", root, tmp_path / "before"], check=True)
    for path in rng.sample([path for path in root.rglob("f*") if path.is_file()], 25):
        if rng.random() < 0.5:
            path.write_text("changed")
        else:
            path.unlink()
    found, _ = listing_diff(old, keep(root, tmp_path / "new"), SECRET)
    text = subprocess.run(
        ["diff", "-rq", "before", "root"], cwd=tmp_path, capture_output=True, text=True, check=False
    ).stdout
    expected = set()
    for line in text.splitlines():
        if line.startswith("Only in before"):
            folder, name = line.removeprefix("Only in before/").split(": ")
            expected.add(("removed", f"{folder}/{name}"))
        else:
            expected.add(("content", line.split(" ")[1].removeprefix("before/")))
    assert {(change.kind, change.path) for change in found} == expected


@pytest.mark.parametrize("broken", ["old", "new"])
def test_a_damaged_listing_is_named(tmp_path: Path, broken: str) -> None:
    root = tmp_path / "root"
    make(root)
    files = {name: keep(root, tmp_path / name) for name in ("old", "new")}
    data = bytearray((tmp_path / broken).read_bytes())
    data[100] ^= 1
    (tmp_path / broken).write_bytes(data)
    with pytest.raises(CoreError, match="missing or damaged") as caught:
        listing_diff(files["old"], files["new"], SECRET)
    assert caught.value.path == files[broken]
    with pytest.raises(CoreError):
        listing_diff(files["old"], files["new"], b"")
