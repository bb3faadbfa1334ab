"""Trees: walks against find(1), look-ups and patterns."""

from __future__ import annotations

import errno
import fnmatch
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_trees import SECRET, Opened, fill

from builder.core.tree import Tree
from builder.errors import CoreError


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "root"
    folder.mkdir()
    yield folder


def test_a_walk_sees_what_find_sees(root: Path) -> None:
    fill(root)
    text = subprocess.run(
        ["find", ".", "-printf", r"%y %m %U %G %n %s %T@ %C@ %i %D %l\0%P\0"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout
    fields = text.split(b"\0")[:-1]
    expected = {}
    for line, path in zip(fields[::2], fields[1::2], strict=True):
        kind, mode, uid, gid, links, size, mtime, ctime, inode, device, *_ = line.decode().split(" ")
        nanoseconds = [
            int(second) * 10**9 + int(rest[:9]) for second, rest in (t.split(".") for t in (mtime, ctime))
        ]
        expected[path] = (
            kind, int(mode, 8), int(uid), int(gid), int(links), int(size) if kind in "fl" else 0,
            *nanoseconds, int(inode), int(device),
        )  # fmt: skip
    with Opened(root) as tree:
        found = {}
        for node in tree.glob(b"**", double_star=True):
            e = tree.entry(node)
            found[e.path] = (
                e.kind, e.mode, e.uid, e.gid, e.nlink, e.size, e.mtime, e.ctime, e.inode, e.device
            )  # fmt: skip
        assert found == expected
        stats = tree.stats()
        assert stats.directories == sum(1 for value in expected.values() if value[0] == "d")
        assert stats.entries == len(expected) - 1
        assert stats.files_hashed == 0
        if os.geteuid() == 0:
            assert tree.entry(tree.find(b"disk")).rdev == os.makedev(7, 300)


def test_only_what_is_asked_for_is_read(root: Path) -> None:
    fill(root)
    with Opened(root) as tree:
        tree.find(b"dir/file")
        assert tree.stats().directories == 2


def test_find_follows_links_inside_the_root(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("x")
    for name, target in {
        "relative": "a/b", "absolute": "/a/b", "up": "../../../../a/b/../b", "a/b/back": "..",
        "chain": "relative", "self": "self", "one": "two", "two": "one", "gone": "nowhere",
        "through": "a/b/file/x", "dotted": "a/b/file/..",
    }.items():  # fmt: skip
        (root / name).symlink_to(target)
    with Opened(root) as tree:
        file = tree.find(b"a/b/file")
        for path in (
            b"relative/file",
            b"absolute/file",
            b"up/file",
            b"chain/file",
            b"chain/back/b/file",
            b"../a/b/file",
        ):
            assert tree.find(path) == file, path
        assert tree.find(b"..") == tree.find(b"") == tree.find(b"/") == 0
        assert tree.entry(tree.find(b"chain", follow=False)).kind == "l"
        assert tree.find(b"chain/file", follow=False) == file
        for path, number in {
            b"self": errno.ELOOP, b"one/x": errno.ELOOP, b"gone": errno.ENOENT, b"no": errno.ENOENT,
            b"through": errno.ENOTDIR, b"a/b/file/x": errno.ENOTDIR, b"dotted": errno.ENOTDIR,
            b"a\0b": errno.EINVAL,
        }.items():  # fmt: skip
            with pytest.raises(CoreError) as caught:
                tree.find(path)
            assert caught.value.errno == number, path


def test_forty_links_are_followed_and_no_more(root: Path) -> None:
    (root / "l0").write_text("x")
    for i in range(1, 42):
        (root / f"l{i}").symlink_to(f"l{i - 1}")
    with Opened(root) as tree:
        assert tree.find(b"l40") == tree.find(b"l0")
        with pytest.raises(CoreError) as caught:
            tree.find(b"l41")
        assert caught.value.errno == errno.ELOOP


def globbed(root: Path, pattern: bytes, **options: bool) -> list[bytes]:
    with Opened(root) as tree:
        return [tree.entry(node).path for node in tree.glob(pattern, **options)]


def test_patterns_are_those_of_filepath_match(root: Path) -> None:
    for path in (
        "a.txt",
        "b.txt",
        ".hidden.txt",
        "é.txt",
        "d/a.txt",
        "d/e/a.txt",
        "d2/a.txt",
        "x*y",
        "x!y",
        "d/-",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "to-d").symlink_to("d")
    assert globbed(root, b"*.txt") == [b".hidden.txt", b"a.txt", b"b.txt", "é.txt".encode()]
    assert globbed(root, b"?.txt") == [b"a.txt", b"b.txt", "é.txt".encode()]
    assert globbed(root, b"[^a].txt") == [b"b.txt", "é.txt".encode()]
    assert globbed(root, b"[z-a].txt") == []
    assert globbed(root, b"*/a.txt") == [b"d/a.txt", b"d2/a.txt"]
    assert globbed(root, b"d/**") == [b"d/-", b"d/a.txt", b"d/e"]
    assert globbed(root, b"**/a.txt") == [b"d/a.txt", b"d2/a.txt"]
    assert globbed(root, b"x\\*y") == [b"x*y"]
    assert globbed(root, b"!*") == []
    assert globbed(root, b"x[!]y") == [b"x!y"]
    assert globbed(root, b"to-d/*.txt") == [b"d/a.txt"]
    assert globbed(root, b"to-*/*.txt") == []
    assert globbed(root, b"no*") == globbed(root, b"no/*") == globbed(root, b"a.txt/*") == []
    everywhere = globbed(root, b"**/a.txt", double_star=True)
    assert everywhere == [b"a.txt", b"d/a.txt", b"d/e/a.txt", b"d2/a.txt"]
    assert globbed(root, b"**/**/**/a.txt", double_star=True) == everywhere
    with pytest.raises(CoreError, match="syntax error in pattern"):
        globbed(root, b"[a")


def test_matches_are_sorted_by_path(root: Path) -> None:
    names = random.Random(3).sample([f"{a}{b}{c}" for a in "az" for b in "-./"[:2] for c in "az"], 8)
    for name in names:
        (root / "x" / name).mkdir(parents=True)
        for inner in ("q", "-", "!"):
            (root / "x" / name / inner).write_text("")
    found = globbed(root, b"**", double_star=True)
    assert found == sorted(found)
    with Opened(root) as tree:
        every = [tree.entry(node).path for node in tree.glob(b"x/*/*")]
    assert every == sorted(every)
    assert len(every) == 24


def test_many_double_stars_cost_no_more_than_one(root: Path) -> None:
    path = root
    for i in range(60):
        path = path / f"d{i}"
    path.mkdir(parents=True)
    assert len(globbed(root, b"/".join([b"**"] * 12) + b"/d59", double_star=True)) == 1


def test_glob_agrees_with_fnmatch_on_plain_patterns(root: Path) -> None:
    rng = random.Random(4)
    names = {"".join(rng.choices("ab.é", k=rng.randint(1, 6))) for _ in range(60)} - {".", ".."}
    for name in names:
        (root / name).write_text("")
    for _ in range(200):
        pattern = "".join(rng.choices(["a", "b", ".", "é", "*", "?", "[ab]"], k=rng.randint(1, 5)))
        if pattern.strip(".") == "" or pattern in (".", ".."):
            continue
        expected = sorted(name.encode() for name in names if fnmatch.fnmatchcase(name, pattern))
        if "*" in pattern or "?" in pattern or "[" in pattern:
            assert globbed(root, pattern.encode()) == expected, pattern


def test_depth_and_length_beyond_what_the_kernel_takes_at_once(tmp_path: Path) -> None:
    name, here = "n" * 100, os.open(tmp_path, os.O_RDONLY)
    root = os.dup(here)
    for _ in range(300):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("file", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here)
    os.write(file, b"far down")
    os.close(file)
    path = "/".join([name] * 300).encode() + b"/file"
    with Tree(root, secret=SECRET) as tree:
        node = tree.find(path)
        assert tree.entry(node).path == path
        before = tree.fingerprint(0)
        assert tree.stats().files_hashed == 1
    os.unlink("file", dir_fd=here)
    os.close(here)
    with Tree(root, secret=SECRET) as tree:
        assert tree.fingerprint(0) != before
    os.close(root)
    subprocess.run(["rm", "-rf", tmp_path / name], check=True)  # too deep for Python's rmtree
