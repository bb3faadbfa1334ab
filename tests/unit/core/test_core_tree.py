"""Trees: walks against find(1), look-ups, patterns, and what fingerprints see and do not see."""

from __future__ import annotations

import errno
import fnmatch
import os
import random
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import xxhash

from builder.core.tree import Ignore, Tree
from builder.errors import CoreError

SECRET = random.Random(2).randbytes(192)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "root"
    folder.mkdir()
    yield folder


class Opened:
    """A tree with its descriptor."""

    def __init__(self, root: Path, **options: object) -> None:
        self.fd = os.open(root, os.O_RDONLY)
        self.tree = Tree(self.fd, **options)  # type: ignore[arg-type]

    def __enter__(self) -> Tree:
        return self.tree

    def __exit__(self, *_: object) -> None:
        self.tree.close()
        os.close(self.fd)


def fingerprint(root: Path, path: bytes = b"", **options: object) -> bytes:
    with Opened(root, secret=SECRET) as tree:
        return tree.fingerprint(tree.find(path, follow=False), **options)  # type: ignore[arg-type]


def fill(root: Path) -> None:
    """One of everything."""
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "dir" / "file").write_text("hello")
    (root / "dir" / "sub" / "deep.txt").write_text("deep")
    (root / "empty").mkdir()
    (root / "a b\nc").write_text("odd")
    os.mkdir(os.fsencode(root) + b"/\xff\xfe")
    (root / "link").symlink_to("dir/file")
    (root / "dangling").symlink_to("/no/such")
    os.link(root / "dir" / "file", root / "hard")
    os.mkfifo(root / "pipe", 0o640)
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(root)
        listener.bind("socket")
        os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(root / "null", 0o020666, os.makedev(1, 3))
        os.mknod(root / "disk", 0o060660, os.makedev(7, 300))
    (root / "dir" / "suid").write_text("x")
    (root / "dir" / "suid").chmod(0o4755)


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


# --- fingerprints


def test_the_encoding_is_frozen(root: Path) -> None:
    """A change of this value makes every step of every store a miss: it wants a reason."""
    (root / "dir").mkdir(mode=0o755)
    (root / "dir").chmod(0o755)
    (root / "dir" / "file").write_text("hello\n")
    (root / "dir" / "file").chmod(0o640)
    (root / "link").symlink_to("dir/file")
    root.chmod(0o755)

    def entry(mode: int, size: int, content: bytes) -> bytes:
        numbers = (mode, 0, 0, size, 0, 1)
        return b"".join(number.to_bytes(8, "little") for number in numbers) + content + bytes(16)

    def named(name: bytes, encoded: bytes) -> bytes:
        return len(name).to_bytes(8, "little") + name + encoded

    digest = xxhash.xxh3_128_digest
    folder = digest(named(b"file", entry(0o100640, 6, digest(b"hello\n"))))
    entries = named(b"dir", entry(0o040755, 0, folder)) + named(
        b"link", entry(0o120000, 8, digest(b"dir/file"))
    )
    with Opened(root) as tree:
        found = tree.fingerprint(0, without_owner=True)
    assert found == digest(entry(0o040755, 0, digest(entries)))
    assert found.hex() == "465115630cb7b39e7960f752c1cc44d6"


def test_times_names_of_the_top_and_links_do_not_matter(root: Path) -> None:
    fill(root)
    (root / "copy").mkdir()
    subprocess.run(["cp", "-a", "dir", "copy/other"], cwd=root, check=True)
    os.utime(root / "copy" / "other" / "file", ns=(1, 1))
    assert fingerprint(root, b"dir") == fingerprint(root, b"copy/other")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "dir/file").write_text("hellO"),
        lambda root: (root / "dir/file").write_text("hello!"),
        lambda root: (root / "dir/file").chmod(0o600),
        lambda root: (root / "dir/sub").chmod(0o700),
        lambda root: (root / "dir").chmod(0o1777),
        lambda root: (root / "dir/new").write_text(""),
        lambda root: (root / "dir/new").mkdir(),
        lambda root: (root / "dir/file").unlink(),
        lambda root: (root / "dir/file").rename(root / "dir/other"),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("dir/suid")),
        lambda root: ((root / "pipe").unlink(), (root / "pipe").write_text("")),
        lambda root: os.setxattr(root / "dir/file", "user.a", b"1"),
        lambda root: os.setxattr(root / "dir/sub", "user.a", b"1"),
        lambda root: ((root / "empty").rmdir(), (root / "empty").symlink_to("dir")),
    ],
)
def test_every_change_that_a_container_could_see_changes_it(root: Path, change: object) -> None:
    fill(root)
    before = fingerprint(root)
    change(root)  # type: ignore[operator]
    assert fingerprint(root) != before


def test_attributes_of_this_machine_do_not_change_it(root: Path) -> None:
    fill(root)
    before = fingerprint(root)
    os.setxattr(root / "dir", "user.overlay.opaque", b"y")
    if os.geteuid() == 0:
        os.setxattr(root / "dir", "trusted.overlay.opaque", b"y")
    assert fingerprint(root) == before
    os.setxattr(root / "dir", "user.mine", b"y")
    assert fingerprint(root) != before


def test_attributes_are_framed(root: Path) -> None:
    (root / "a").write_text("")
    os.setxattr(root / "a", "user.a", b"bc")
    first = fingerprint(root, b"a")
    os.removexattr(root / "a", "user.a")
    os.setxattr(root / "a", "user.ab", b"c")
    assert fingerprint(root, b"a") != first


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_owners_matter_unless_left_out(root: Path) -> None:
    fill(root)
    with_owner, without = fingerprint(root), fingerprint(root, without_owner=True)
    assert with_owner != without
    os.chown(root / "dir" / "file", 1, 2)
    assert fingerprint(root) != with_owner
    assert fingerprint(root, without_owner=True) == without
    os.chown(root / "dir" / "file", 2, 1)
    assert fingerprint(root) != with_owner


def test_exclude_is_as_if_the_files_were_not_there(root: Path) -> None:
    fill(root)
    with Opened(root, secret=SECRET) as tree:
        excluded = tree.fingerprint(tree.find(b"dir"), exclude=Ignore(["**/*.txt", "suid"]))
        entries, size = tree.measure(tree.find(b"dir"), exclude=Ignore(["**/*.txt", "suid"]))
    (root / "dir/sub/deep.txt").unlink()
    (root / "dir/suid").unlink()
    assert fingerprint(root, b"dir") == excluded
    assert (entries, size) == (3, 5)


def test_folders_stay_for_exceptions_only(root: Path) -> None:
    for path in ("src/a/x.go", "src/a/x.c", "src/b/c/y.c", "src/b/z.c", "src/d/e/f/g.go"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    with Opened(root, secret=SECRET) as tree:
        src, rules = tree.find(b"src"), Ignore(["**", "!**/*.go"])
        excluded = tree.fingerprint(src, exclude=rules)
        assert tree.measure(src, exclude=rules)[0] == 7
    for path in ("src/a/x.c", "src/b/c/y.c", "src/b/z.c"):
        (root / path).unlink()
    (root / "src" / "b" / "c").rmdir()
    (root / "src" / "b").rmdir()
    assert fingerprint(root, b"src") == excluded


def test_ignored_is_as_if_the_files_were_not_there(root: Path) -> None:
    fill(root)
    with Opened(root, secret=SECRET, ignore=Ignore(["dir", "!dir/file", "pipe"])) as tree:
        ignored = tree.fingerprint(0)
        with pytest.raises(CoreError):
            tree.find(b"dir/suid")
        assert tree.entry(tree.find(b"link")).path == b"dir/file"
    (root / "dir/sub/deep.txt").unlink()
    (root / "dir/sub").rmdir()
    (root / "dir/suid").unlink()
    (root / "pipe").unlink()
    assert fingerprint(root) == ignored


def test_a_file_that_changed_after_the_walk_is_taken_as_it_is_now(root: Path) -> None:
    (root / "file").write_text("first")
    with Opened(root, secret=SECRET) as tree:
        tree.find(b"file")
        (root / "file").write_text("second, longer")
        found = tree.fingerprint(0)
        assert tree.entry(tree.find(b"file")).size == 14
    assert found == fingerprint(root)


def test_a_file_that_does_not_stop_changing_is_given_up(root: Path) -> None:
    (root / "log").touch()
    os.truncate(root / "log", 256 << 20)  # a hole: takes a while to read, and no room
    stop = threading.Event()

    def write() -> None:
        with (root / "log").open("ab", buffering=0) as stream:
            while not stop.is_set():
                stream.write(b"line\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with Opened(root) as tree, pytest.raises(CoreError, match="changed while it was read") as caught:
            tree.fingerprint(0)
    finally:
        stop.set()
        writer.join()
    assert (caught.value.errno, caught.value.path) == (errno.ESTALE, "log")


def test_what_became_something_else_is_stale(root: Path) -> None:
    (root / "file").write_text("x")
    (root / "other").symlink_to("file")
    with Opened(root) as tree:
        file, link = tree.find(b"file"), tree.find(b"other", follow=False)
        (root / "file").unlink()
        os.mkfifo(root / "file")
        (root / "other").unlink()
        (root / "other").write_text("")
        for node in (file, link):
            with pytest.raises(CoreError) as caught:
                tree.fingerprint(node)
            assert caught.value.errno == errno.ESTALE


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read_is_named(root: Path, kind: str) -> None:
    (root / "open").mkdir()
    secret = root / "open" / "secret"
    secret.mkdir() if kind == "folder" else secret.write_text("x")
    secret.chmod(0)
    me = os.geteuid()
    with Opened(root) as tree:
        if me == 0:  # who may read everything
            os.seteuid(65534)
        try:
            with pytest.raises(CoreError) as caught:
                tree.fingerprint(0)
        finally:
            os.seteuid(me)
    assert (caught.value.errno, caught.value.path) == (errno.EACCES, "open/secret")


def test_times_beyond_the_clock_do_no_harm(root: Path) -> None:
    (root / "file").write_text("x")
    for seconds in (-(2**40), 2**33, 2**62):
        try:
            os.utime(root / "file", (seconds, seconds))
        except OverflowError:
            continue
        with Opened(root) as tree:
            tree.fingerprint(0)


def test_nodes_that_are_none_are_refused(root: Path) -> None:
    with Opened(root) as tree:
        for call in (tree.entry, tree.fingerprint, tree.measure):
            with pytest.raises(CoreError) as caught:
                call(12345)  # type: ignore[operator]
            assert caught.value.errno == errno.EINVAL
