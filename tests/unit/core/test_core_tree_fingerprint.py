"""Fingerprints of trees: what they see, what they do not see, and files that do not hold still."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import xxhash
from sample_trees import SECRET, Opened, fill, fingerprint

from builder.core.tree import Ignore
from builder.errors import CoreError


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "root"
    folder.mkdir()
    yield folder


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
        entries, size, _ = tree.measure(tree.find(b"dir"), exclude=Ignore(["**/*.txt", "suid"]))
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


@pytest.mark.parametrize("name", ["file", "folder/file"])
@pytest.mark.parametrize("what", ["nothing", "a link", "a folder", "a pipe", "another parent"])
def test_what_was_replaced_after_the_walk_is_said_to_have_changed(root: Path, name: str, what: str) -> None:
    (root / "folder").mkdir()
    (root / "elsewhere").mkdir()
    for text in ("file", "folder/file", "elsewhere/file"):
        (root / text).write_text("first")
    place = root / name
    with Opened(root, secret=SECRET) as tree:
        found = tree.find(name.encode())
        if what == "another parent" and name == "folder/file":
            (root / "folder").rename(root / "moved")
            (root / "folder").symlink_to("elsewhere")
        else:
            place.unlink()
        if what == "a link":
            place.symlink_to("/etc/hostname")
        elif what == "a folder":
            place.mkdir()
        elif what == "a pipe":
            os.mkfifo(place)
        with pytest.raises(CoreError, match=f"^read {name}: it changed while it was read$") as caught:
            tree.fingerprint(found)
    assert caught.value.errno == errno.ESTALE


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
        caught = None
        while caught is None:  # until the writer got its turn during each try
            with Opened(root) as tree:
                try:
                    tree.fingerprint(0)
                except CoreError as error:
                    caught = error
    finally:
        stop.set()
        writer.join()
    assert "changed while it was read" in caught.message
    assert (caught.errno, caught.path) == (errno.ESTALE, "log")


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
