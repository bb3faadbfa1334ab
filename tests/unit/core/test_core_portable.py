"""Portable digests, compared with hashlib, and what of a tree is read again for them."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash

from builder.core.portable import Known
from builder.core.tree import Ignore, Tree, listing_diff
from builder.errors import CoreError

SECRET = bytes(range(192))
OTHER_SECRET = bytes(range(1, 193))
HEADER = 8 + 4 * 4 + 16  # of a listing


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def text(data: bytes) -> bytes:
    return number(len(data)) + data


def oracle(path: Path, flags: int) -> bytes:
    """One entry, as docs/cache.md writes it down."""
    seen = path.lstat()
    mode, content = seen.st_mode, b""
    if stat.S_ISDIR(mode):
        names = sorted(os.fsencode(name) for name in os.listdir(path))
        content = b"".join(text(name) + oracle(path / os.fsdecode(name), flags) for name in names)
    elif stat.S_ISLNK(mode):
        content, mode = os.fsencode(os.readlink(path)), stat.S_IFLNK
    elif stat.S_ISREG(mode):
        content = path.read_bytes()
    owner = (0, 0) if flags & 1 else (seen.st_uid, seen.st_gid)
    size = seen.st_size if not stat.S_ISDIR(mode) else 0
    has_content = not stat.S_ISFIFO(mode)
    attributes = os.listxattr(path, follow_symlinks=False)
    xattrs = b"".join(
        text(name.encode()) + text(os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(attributes)
    )
    return (
        b"".join(number(field) for field in (mode, *owner, size, 0, flags, 0, 0))
        + (hashlib.sha256(content).digest() if has_content else bytes(32))
        + (hashlib.sha256(xattrs).digest() if attributes else bytes(32))
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "src" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "nothing").touch()
    for size in (1, 55, 56, 63, 64, 65, 119, 1000, 300_000):
        (root / "src" / f"f{size}").write_bytes(os.urandom(size))
    (root / "src" / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (root / "src" / "deep" / "run.sh").chmod(0o755)
    (root / "link").symlink_to("src/f1")
    os.mkfifo(root / "pipe")
    os.setxattr(root / "src" / "f55", "user.note", b"a value")
    os.setxattr(root / "src" / "f55", "user.b", b"")
    os.setxattr(root / "src", "user.folder", b"x")
    return root


def digest(root: Path, known: Known, path: bytes = b"", **options: object) -> bytes:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Tree(fd, secret=SECRET) as tree:
            return known.digest(tree, tree.find(path, follow=False), **options)  # type: ignore[arg-type]
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "flags"), [(b"", 0), (b"", 1), (b"src/f300000", 0), (b"link", 0), (b"src", 1)]
)
def test_a_digest_is_what_the_document_says(folder: Path, path: bytes, flags: int) -> None:
    with Known(None, SECRET) as known:
        found = digest(folder, known, path, without_owner=bool(flags))
    assert found == hashlib.sha256(oracle(folder / os.fsdecode(path), flags)).digest()


def test_it_depends_on_no_secret_time_or_place(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    os.system(f"cp -R --preserve=mode,xattr '{folder}' '{copy}'")
    with Known(None, SECRET) as one, Known(None, OTHER_SECRET) as two:
        assert digest(folder, one, without_owner=True) == digest(copy, two, without_owner=True)


def test_only_what_changed_is_read_again(folder: Path, tmp_path: Path) -> None:
    file = str(tmp_path / "known")
    with Known(file, SECRET) as known:
        first = digest(folder, known)
        assert known.hashed == sum(
            p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink()
        )
        known.save()
    with Known(file, SECRET) as known:
        assert digest(folder, known) == first
        assert known.hashed == 0
    (folder / "src" / "f64").write_bytes(b"changed")
    with Known(file, SECRET) as known:
        second = digest(folder, known)
        assert known.hashed == 7
        known.save()
    assert second == hashlib.sha256(oracle(folder, 0)).digest() != first
    with Known(file, SECRET) as known:
        assert digest(folder, known) == second
        assert known.hashed == 0


def test_what_is_left_out_makes_another_digest(folder: Path, tmp_path: Path) -> None:
    file = str(tmp_path / "known")
    with Known(file, SECRET) as known, Ignore(["**/run.sh"]) as rules:
        whole, less = digest(folder, known), digest(folder, known, exclude=rules)
        known.save()
    (folder / "src" / "deep" / "run.sh").unlink()
    with Known(file, SECRET) as known:
        assert digest(folder, known) == less != whole


@pytest.mark.parametrize("harm", ["cut", "flip", "secret", "folder"])
def test_a_file_that_cannot_be_trusted_is_as_good_as_none(folder: Path, tmp_path: Path, harm: str) -> None:
    file = tmp_path / "known"
    with Known(str(file), SECRET) as known:
        first = digest(folder, known)
        known.save()
    data = bytearray(file.read_bytes())
    if harm == "cut":
        file.write_bytes(data[:-1])
    elif harm == "flip":
        data[-1] ^= 1
        file.write_bytes(data)
    elif harm == "folder":
        file.unlink()
        file.mkdir()
    with Known(str(file), OTHER_SECRET if harm == "secret" else SECRET) as known:
        assert digest(folder, known) == first
        assert known.hashed > 300_000


def test_snapshots_tell_hard_links_and_opaque_folders_apart(tmp_path: Path) -> None:
    found = []
    for way in ("two files", "two names", "opaque"):
        root = tmp_path / way
        (root / "d").mkdir(parents=True)
        (root / "a").write_text("same")
        os.link(root / "a", root / "b") if way == "two names" else (root / "b").write_text("same")
        if way == "opaque":
            os.setxattr(root / "d", "user.overlay.opaque", b"y")
        with Known(None, SECRET) as known:
            found.append(digest(root, known, changes=True))
    assert len(set(found)) == 3


def test_many_files_are_found_again(tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for count in range(3000):
        (root / str(count)).write_text(str(count))
    with Known(str(tmp_path / "known"), SECRET) as known:
        first = digest(root, known)
        known.save()
    assert first == hashlib.sha256(oracle(root, 0)).digest()
    changed = range(5, 3000, 7)
    for count in changed:
        (root / str(count)).write_text(f"other {count}")
    # What is new stands among what was known, and all is found again.
    for read in (sum(len(f"other {count}") for count in changed), 0):
        with Known(str(tmp_path / "known"), SECRET) as known:
            assert digest(root, known) == hashlib.sha256(oracle(root, 0)).digest()
            assert known.hashed == read
            known.save()
    kept = (tmp_path / "known").read_bytes()[48:]
    entries = [kept[at : at + 16] for at in range(0, len(kept), 48)]
    assert (
        entries == sorted(set(entries)) and len(entries) == 3000 + len(changed) + 2
    )  # and the folder, twice


# --- listings ---


def listed(root: Path, file: Path, secret: bytes, known: Path, *, exclude: Ignore | None = None) -> int:
    """Write a listing of a folder as every machine has it; the bytes that were read for it."""
    fd = os.open(root, os.O_RDONLY)
    try:
        with Tree(fd, secret=secret) as tree, Known(str(known), secret) as digests:
            digests.save_listing(tree, [tree.find(b"")], str(file), exclude=exclude, without_owner=True)
            digests.save()
            return digests.hashed
    finally:
        os.close(fd)


def test_listings_are_the_same_on_every_machine_and_tell_what_changed(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for root in (here, there):
        for i in range(600):
            (root / f"d{i % 7}").mkdir(parents=True, exist_ok=True)
            (root / f"d{i % 7}" / f"f{i}").write_text(f"{i}\n")
        (root / "link").symlink_to("d1")
        os.setxattr(root / "d1" / "f1", "user.note", b"one")
    os.utime(there / "d1" / "f1", (1, 1))
    read = listed(here, tmp_path / "one", SECRET, tmp_path / "known1")
    assert read == sum(len(f"{i}\n") for i in range(600))
    listed(there, tmp_path / "two", OTHER_SECRET, tmp_path / "known2")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert listed(here, tmp_path / "again", SECRET, tmp_path / "known1") == 0, "what is known is not read"
    (there / "d3" / "f3").write_text("4\n")
    (there / "d4" / "f4").chmod(0o600)
    (there / "d5" / "f5").unlink()
    os.setxattr(there / "d1" / "f1", "user.note", b"two")
    (there / "link").unlink()
    (there / "link").symlink_to("d2")
    listed(there, tmp_path / "two", OTHER_SECRET, tmp_path / "known2")
    found, total = listing_diff(str(tmp_path / "one"), str(tmp_path / "two"), b"")
    assert total == 5 and [(change.kind, change.path) for change in found] == [
        ("xattrs", "d1/f1"), ("content", "d3/f3"), ("mode", "d4/f4"), ("removed", "d5/f5"), ("target", "link"),
    ]  # fmt: skip
    # One file each, with no leaves beside them.
    assert not list(tmp_path.glob("*.leaf"))


def test_any_bytes_are_no_listing_or_one_that_ends(tmp_path: Path) -> None:
    """Listings of other machines may be anything, with fingerprints that are right."""
    root, rng = tmp_path / "root", random.Random(9)
    for i in range(50):
        (root / f"d{i % 3}").mkdir(parents=True, exist_ok=True)
        (root / f"d{i % 3}" / f"f{i}").write_text(f"{i}\n")
    listed(root, tmp_path / "right", SECRET, tmp_path / "known")
    right = (tmp_path / "right").read_bytes()
    told = 0
    for _ in range(400):
        body = bytearray(right[HEADER:])
        for _ in range(rng.randint(1, 6)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        if rng.random() < 0.2:
            del body[rng.randrange(len(body)) :]
        head = right[: HEADER - 16] + xxhash.xxh3_128(bytes(body)).digest()
        (tmp_path / "forged").write_bytes(head + body)
        for pair in (("right", "forged"), ("forged", "right"), ("forged", "forged")):
            try:
                told += listing_diff(str(tmp_path / pair[0]), str(tmp_path / pair[1]), b"", limit=5)[1]
            except CoreError as error:
                assert "missing or damaged" in error.message
    assert told > 100


def become_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def grow(path: Path) -> None:
    path.write_bytes(b"more than there was")


def shrink(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("name", ["file", "link"])
@pytest.mark.parametrize("change", [Path.unlink, become_link, become_folder, grow, shrink])
def test_what_was_replaced_meanwhile_is_told(
    tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    """Between its fingerprint and its digest: which file, and that it changed; never the bytes of another one."""
    root = tmp_path / "root"
    root.mkdir()
    path = root / name
    path.symlink_to("there") if name == "link" else path.write_bytes(b"once")
    fd = os.open(root, os.O_RDONLY)
    try:
        with Tree(fd) as tree, Known(None, SECRET) as known:
            tree.fingerprint(0)
            if name == "link":
                path.unlink()
                if change is not Path.unlink:
                    path.write_bytes(b"")
                    change(path)
            else:
                change(path)
            with pytest.raises(CoreError, match=f"{name}: it changed while it was read"):
                known.digest(tree, 0)
    finally:
        os.close(fd)
