"""Listings: what changed between two selections, told in few words."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from builder.core.tree import Change, Ignore, Tree, listing_diff, sweep_listings
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
        ("mode", "a/b", "0755 → 0700"),
        ("content", "a/b/file", "1 → 6 bytes"),
        ("type", "a/other", "file → folder"),
        ("xattrs", "a/z", ""),
        ("content", "a/z/last", ""),
        ("added", "a/z/new", ""),
        ("removed", "gone", ""),
        ("target", "link", ""),
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
        ("owner", "a/other", "0:0 → 5:6"),
        ("type", "dev", "device 1:3 → 1:5"),
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
        ("added", "a/z/last"), ("added", "a/z/more"), ("removed", "link"),
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


def test_what_is_in_an_added_or_removed_folder_is_not_told(tmp_path: Path) -> None:
    def edit(root: Path) -> None:
        subprocess.run(["rm", "-r", root / "a" / "z"], check=True)
        (root / "a" / "z.more").write_text("not in z")
        (root / "c" / "deep").mkdir(parents=True)
        (root / "c" / "deep" / "file").write_text("x")
        (root / "c.txt").write_text("not in c")
        subprocess.run(["rm", "-r", root / "a" / "b"], check=True)
        (root / "a" / "b").write_text("a file now")

    assert [change[:2] for change in changes(tmp_path, edit)] == [
        ("type", "a/b"), ("removed", "a/z"), ("added", "a/z.more"), ("added", "c"), ("added", "c.txt"),
    ]  # fmt: skip


def test_nodes_that_are_chosen_twice_or_inside_another(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(root)
    chosen = (b"a", b"a/b", b"a", b"a/other", b"link")
    old = keep(root, tmp_path / "old", *chosen)
    (root / "a" / "b" / "file").write_text("y")
    (root / "a" / "other").write_text("y")
    found, _ = listing_diff(old, keep(root, tmp_path / "new", *chosen), SECRET)
    # Once for each way on which it was chosen.
    assert sorted(change.path for change in found) == ["a/b/file", "a/b/file", "a/other", "a/other"]
    found, _ = listing_diff(old, keep(root, tmp_path / "new", b"a"), SECRET)
    assert [(change.kind, change.path) for change in found] == [
        ("content", "a/b/file"), ("content", "a/other"), ("removed", "a/b"), ("removed", "a/other"), ("removed", "link"),
    ]  # fmt: skip


# --- many files: leaves ------------------------------------------------------------------------------------------------


def forest(root: Path, count: int) -> list[Path]:
    paths = []
    for i in range(count):
        folder = root / f"d{i % 37}" / f"e{i % 11}"
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(folder / f"file-{i}")
        paths[-1].write_text(str(i))
    return paths


def oracle(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, b"" if path.is_dir() else path.read_bytes())
        for path in root.rglob("*")
    }


def expected(old: dict[str, tuple[int, bytes]], new: dict[str, tuple[int, bytes]]) -> set[tuple[str, str]]:
    found = set()
    for path in old.keys() | new.keys():
        folder = os.path.dirname(path)
        if path not in new:
            found |= {("removed", path)} if not folder or folder in new else set()
        elif path not in old:
            found |= {("added", path)} if not folder or folder in old else set()
        else:
            found |= {("mode", path)} if old[path][0] != new[path][0] else set()
            found |= {("content", path)} if old[path][1] != new[path][1] else set()
    return found


def test_random_edits_of_many_files_are_told_as_two_walks_tell_them(tmp_path: Path) -> None:
    root, folder, rng = tmp_path / "root", tmp_path / "kept", random.Random(11)
    folder.mkdir()
    forest(root, 5000)
    before, old = oracle(root), keep(root, folder / "0")
    for turn in range(1, 8):
        files = [path for path in root.rglob("*") if path.is_file()]
        for path in rng.sample(files, rng.choice([1, 3, 40, 700])):
            what = rng.randrange(5)
            if what == 0:
                path.write_text(f"edit {turn}")
            elif what == 1:
                path.unlink()
            elif what == 2:
                path.chmod(rng.choice([0o600, 0o755]))
            elif what == 3:
                path.with_name(path.name + f".{turn}").write_text("new")
            else:
                (path.parent / f"folder-{turn}").mkdir(exist_ok=True)
                (path.parent / f"folder-{turn}" / path.name).write_text("deep")
        if turn == 5:
            subprocess.run(["rm", "-r", root / "d3"], check=True)
        after, new = oracle(root), keep(root, folder / str(turn))
        found, total = listing_diff(old, new, SECRET, limit=100_000)
        assert {(change.kind, change.path) for change in found} == expected(before, after)
        assert total == len(found)
        paths = [change.path.split("/") for change in found]
        assert paths == sorted(paths)
        before, old = after, new
    # Listings far apart, too.
    assert listing_diff(str(folder / "7"), str(folder / "7"), SECRET) == ((), 0)
    forward = listing_diff(str(folder / "1"), str(folder / "6"), SECRET, limit=100_000)
    backward = listing_diff(str(folder / "6"), str(folder / "1"), SECRET, limit=100_000)
    assert forward[1] == backward[1] > 100


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_listing_of_many_files_adds_to_others_what_changed(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "kept"
    folder.mkdir()
    paths = forest(root, 20_000)
    keep(root, folder / "0")
    whole, leaves = size(folder), len(list(folder.glob("*.leaf")))
    assert 40 < leaves < 160 and whole < 20_000 * 60
    for turn in range(1, 11):
        paths[turn * 1000].write_text(f"edit {turn}")
        new = keep(root, folder / str(turn))
        found, _ = listing_diff(str(folder / str(turn - 1)), new, SECRET)
        assert [change.path for change in found] == [str(paths[turn * 1000].relative_to(root))]
    # Ten leaves at most, and ten lists of leaves.
    assert len(list(folder.glob("*.leaf"))) <= leaves + 10
    assert size(folder) - whole < whole // 2
    # The same files again are no new leaf at all.
    keep(root, folder / "again")
    assert (folder / "again").read_bytes() == (folder / "10").read_bytes()


def test_sweeping_removes_what_no_listing_has_and_nothing_else(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "kept"
    folder.mkdir()
    paths = forest(root, 3000)
    for turn in range(4):
        paths[turn * 700].write_text(f"edit {turn}")
        keep(root, folder / str(turn))
    before = set(os.listdir(folder))
    assert sweep_listings(str(folder), SECRET) == 0 and set(os.listdir(folder)) == before
    (folder / "1").unlink()
    (folder / "2").unlink()
    (folder / ".new-0123456789abcdef").write_text("of a process that was killed")
    (folder / "unknown").write_text("stays")
    assert sweep_listings(str(folder), SECRET) > 0
    assert {"0", "3", "unknown"} < set(os.listdir(folder)) and ".new-0123456789abcdef" not in os.listdir(
        folder
    )
    found, _ = listing_diff(str(folder / "0"), str(folder / "3"), SECRET)
    assert {change.path for change in found} == {str(paths[i * 700].relative_to(root)) for i in (1, 2, 3)}
    (folder / "0").unlink()
    (folder / "3").unlink()
    sweep_listings(str(folder), SECRET)
    assert os.listdir(folder) == ["unknown"]
    assert sweep_listings(str(tmp_path / "missing"), SECRET) == 0


@pytest.mark.parametrize("how", ["flip", "cut", "gone", "folder"])
def test_a_leaf_that_is_damaged_is_named_and_written_anew_once_it_is_gone(tmp_path: Path, how: str) -> None:
    root, folder = tmp_path / "root", tmp_path / "kept"
    folder.mkdir()
    paths = forest(root, 3000)
    old = keep(root, folder / "0")
    shared = set(folder.glob("*.leaf"))
    paths[5].write_text("another")
    new = keep(root, folder / "1")
    (only,) = set(folder.glob("*.leaf")) - shared
    data = bytearray(only.read_bytes())
    only.unlink()
    if how == "folder":
        only.mkdir()
    elif how != "gone":
        data[len(data) // 2] ^= 1
        only.write_bytes(data if how == "flip" else data[:-1])
    with pytest.raises(CoreError, match="missing or damaged") as caught:
        listing_diff(old, new, SECRET)
    assert caught.value.path == str(only)
    if how == "folder":
        only.rmdir()
    elif how == "flip":  # one of another size is written anew as it is
        only.unlink()
    assert keep(root, folder / "1") == new
    assert listing_diff(old, new, SECRET)[1] == 1


def test_damage_of_any_byte_is_no_crash_and_no_wrong_answer(tmp_path: Path) -> None:
    root, folder, rng = tmp_path / "root", tmp_path / "kept", random.Random(3)
    folder.mkdir()
    paths = forest(root, 3000)
    old = keep(root, folder / "0")
    paths[5].write_text("another")
    new = keep(root, folder / "1")
    right = listing_diff(old, new, SECRET)
    for _ in range(200):
        victim = rng.choice(sorted(folder.iterdir()))
        data = victim.read_bytes()
        broken = bytearray(data)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        victim.write_bytes(broken)
        try:
            assert listing_diff(old, new, SECRET) == right  # a leaf that was not read
        except CoreError as error:
            assert error.path == str(victim)
        victim.write_bytes(data)
