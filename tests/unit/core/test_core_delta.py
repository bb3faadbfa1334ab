"""Folders in parts: whatever changes between them, all parts together are the folder as it is now."""

from __future__ import annotations

import errno
import io
import os
import random
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.core.delta import Delta, Sum
from builder.core.portable import Known
from builder.core.tar import TarWriter, Untar
from builder.core.tree import Tree
from builder.errors import CoreError
from builder.execute.packs import parts_to_keep

Part = tuple[bytes, list[bytes]]


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def delta_of(folder: Path, index: Path | None = None) -> Iterator[Delta]:
    with (
        opened(folder) as fd,
        Tree(fd, index=str(index) if index else None) as tree,
        Known(None, b"") as known,
        Delta(tree, known) as delta,
    ):
        yield delta
        if index:
            tree.save(str(index))


def add_part(
    folder: Path, parts: list[Part], listing: Path, packs: int, kept: int | None = None
) -> list[Part]:
    """The parts of a folder as it is now, of which as many stay as is worth it."""
    listing.unlink(missing_ok=True)
    with delta_of(folder) as delta:
        for data, _ in parts:
            delta.add(data)
        sums = delta.sums()
        kept = parts_to_keep(sums) if kept is None else kept
        if not sums[kept].changed and not sums[kept].gone:
            return parts[:kept]
        delta.choose(kept, str(listing))
        delta.divide(packs)
        made = []
        for pack in range(packs):
            with TarWriter.of_delta(delta, pack) as tar:
                made.append(b"".join(bytes(chunk) for chunk in iter(tar.read, b"")))
    return [*parts[:kept], (listing.read_bytes(), made)]


def unpack(folder: Path, parts: list[Part]) -> None:
    folder.mkdir()
    with opened(folder) as fd:
        for _, packs in parts:
            for pack in packs:
                with Untar(fd, layer=False, removals=True) as untar:
                    untar.feed(pack)
                    untar.finish()


def everything(folder: Path) -> list[tuple[object, ...]]:
    """All that travels."""
    found: list[tuple[object, ...]] = []
    for path in sorted(folder.rglob("*")):
        seen = path.lstat()
        plain = path.is_file() and not path.is_symlink()
        found.append(
            (
                str(path.relative_to(folder)),
                seen.st_mode,
                (seen.st_uid, seen.st_gid),
                path.read_bytes() if plain else os.readlink(path) if path.is_symlink() else None,
                seen.st_mtime_ns // 10**9 if plain else 0,
                sorted((name, os.getxattr(path, name)) for name in os.listxattr(path))
                if not path.is_symlink()
                else [],
            )
        )
    return found


def change(folder: Path, rng: random.Random) -> None:
    """One change of any kind, to one of a few paths, so that kinds follow each other in one place."""
    path = folder / "/".join(rng.choice("abc") for _ in range(rng.randint(1, 4)))
    if any(os.path.lexists(above) and (above.is_symlink() or not above.is_dir()) for above in path.parents):
        return
    kind = rng.choice(
        ["file", "file", "folder", "link", "gone", "mode", "owner", "time", "xattr", "name", "fifo"]
    )
    there = os.path.lexists(path)
    if kind in ("file", "folder", "link", "gone", "fifo") and there:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if kind == "gone" or (kind in ("mode", "owner", "time", "xattr") and (not there or path.is_symlink())):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.write_bytes(rng.randbytes(rng.choice([0, 1, 700, 40_000])))
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(rng.choice(["a", "../b", "/nowhere", "."]))
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "mode":
        path.chmod(rng.choice([0o700, 0o644, 0o4755]) | (0o700 if path.is_dir() else 0))
    elif kind == "owner":
        os.chown(path, rng.randrange(5), rng.randrange(5))
    elif kind == "time":
        os.utime(path, ns=(0, rng.choice([-5, 1, 10**18 + 7])))
    elif kind == "xattr" and (path.is_file() or path.is_dir()):
        for name in os.listxattr(path):
            os.removexattr(path, name)
        if name := rng.choice(["user.note", "user.other", ""]):
            os.setxattr(path, name, rng.randbytes(3))
    elif kind == "name" and there and path.is_file() and not path.is_symlink():
        other = folder / f"name{rng.randrange(3)}"
        other.unlink(missing_ok=True)
        os.link(path, other)


@pytest.mark.parametrize("seed", range(int(os.environ.get("PYBUILD_DELTA_SEEDS", "4"))))
def test_parts_together_are_the_folder(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    folder = tmp_path / "folder"
    folder.mkdir()
    parts: list[Part] = []
    for turn in range(40):
        for _ in range(rng.randint(0, 12)):
            change(folder, rng)
        kept = rng.randint(0, len(parts)) if rng.random() < 0.2 else None
        parts = add_part(folder, parts, tmp_path / "listing", rng.choice([1, 2, 5]), kept)
        assert len(parts) <= 16
        if turn % 4 == 3:
            unpack(tmp_path / f"there{turn}", parts)
            assert everything(tmp_path / f"there{turn}") == everything(folder)
            # What was unpacked is the same for the next part, and so sends nothing.
            again = add_part(tmp_path / f"there{turn}", parts, tmp_path / "listing", 1, len(parts))
            assert [listing for listing, _ in again] == [listing for listing, _ in parts]


def test_only_what_changed_is_in_a_part(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for number in range(200):
        (folder / f"d{number % 7}").mkdir(parents=True, exist_ok=True)
        (folder / f"d{number % 7}" / f"{number}").write_bytes(b"x" * 1000)
    parts = add_part(folder, [], tmp_path / "listing", 3)
    assert len(parts[0][1]) == 3
    (folder / "d3" / "3").write_bytes(b"y" * 1000)
    (folder / "new").write_bytes(b"z")
    shutil.rmtree(folder / "d6")
    parts = add_part(folder, parts, tmp_path / "listing", 1)
    (pack,) = parts[1][1]
    with tarfile.open(fileobj=io.BytesIO(pack)) as tar:
        assert [(entry.type, entry.name) for entry in tar] == [
            (b"R", "d6"),  # and nothing of what is in it
            (tarfile.REGTYPE, "d3/3"),
            (tarfile.REGTYPE, "new"),
        ]
    assert len(parts[1][0]) < 400
    assert [len(listing) for listing, _ in add_part(folder, parts, tmp_path / "listing", 1)] == [
        len(listing) for listing, _ in parts
    ]


def test_the_same_files_make_the_same_packs(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        for number in sorted(range(50), reverse=name == "two"):
            (folder / f"{number % 3}").mkdir(parents=True, exist_ok=True)
            (folder / f"{number % 3}" / f"{number}").write_bytes(b"%d" % number * 99)
            os.utime(folder / f"{number % 3}" / f"{number}", ns=(0, number * 10**9 + (name == "two")))
        made.append(add_part(folder, [], tmp_path / "listing", 4))
    assert made[0] == made[1]


def test_names_of_one_file_stay_together(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "one").write_bytes(b"x" * 5000)
    for number in range(20):
        os.link(folder / "one", folder / f"name{number}")
    unpack(tmp_path / "there", add_part(folder, [], tmp_path / "listing", 9))
    assert {path.stat().st_nlink for path in (tmp_path / "there").iterdir()} == {21}


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"one")
    with delta_of(tmp_path / "folder") as delta:
        delta.choose(0, str(tmp_path / "listing"))
        delta.divide(1)
        (tmp_path / "folder" / "a").write_bytes(b"two")
        with TarWriter.of_delta(delta, 0) as tar, pytest.raises(CoreError) as caught:
            tar.read()
    assert caught.value.errno == errno.ESTALE


@pytest.mark.parametrize(
    "listing",
    [
        b"",
        b"pbparts2",
        b"pbparts1\x00\x00",  # no path at all
        b"pbparts1\x01\x01a\x00",  # shares what is not there
        b"pbparts1\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"pbparts1\x00\x02a\x00\x00",  # a NUL in a path
        b"pbparts1\x00\x01a\xa4\x83\x02\x00\x00\x05",  # cut short
        b"pbparts1\x00\x01a\x00\x00\x01a\x00",  # twice the same
    ],
)
def test_what_is_no_listing_is_refused(tmp_path: Path, listing: bytes) -> None:
    with delta_of(tmp_path) as delta, pytest.raises(CoreError) as caught:
        delta.add(listing)
        delta.sums()
    assert caught.value.errno == errno.EBADMSG


def test_a_listing_with_paths_that_lead_out_removes_nothing_there(tmp_path: Path) -> None:
    """It says what the parts before hold, and so what is to be removed."""
    (tmp_path / "root").mkdir()
    (tmp_path / "victim").write_text("still here")
    paths = [b"../victim", b"/../victim", b"a/../../victim", b"..", b"."]
    folder = b"\xed\x83\x01\x00\x00\x00\x00\x00\x00"
    listing = b"pbparts1" + b"".join(b"\x00%c" % len(path) + path + folder for path in paths)
    (tmp_path / "empty").mkdir()
    parts = add_part(tmp_path / "empty", [(listing, [])], tmp_path / "listing", 1, 1)
    with tarfile.open(fileobj=io.BytesIO(parts[1][1][0])) as tar:
        assert len(tar.getnames()) == len(paths)
    with opened(tmp_path / "root") as fd, Untar(fd, layer=False, removals=True) as untar:
        untar.feed(parts[1][1][0])
        untar.finish()
    assert (tmp_path / "victim").read_text() == "still here"
    assert (tmp_path / "root").is_dir()


def test_removals_mean_nothing_where_nobody_asked_for_them(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("still here")
    with opened(tmp_path) as fd, Untar(fd, layer=True) as untar:
        entry = tarfile.TarInfo("a")
        entry.type = b"R"
        untar.feed(entry.tobuf() + bytes(1024))
        untar.finish()
    assert (tmp_path / "a").read_text() == "still here"


def sums(weights: list[int], live: list[int], fresh: int) -> list[Sum]:
    """Parts of some weights, of which so much is of use; keeping fewer of them leaves more to send."""
    return [
        Sum(1, fresh + sum(live[kept:]), 0, sum(weights[:kept]), sum(live[:kept]))
        for kept in range(len(weights) + 1)
    ]


def test_how_many_parts_stay() -> None:
    large = 100 << 20
    assert parts_to_keep(sums([], [], large)) == 0
    # What is there stays, however much is new.
    assert parts_to_keep(sums([1000], [1000], large)) == 1
    assert parts_to_keep(sums([large, 5000], [large, 5000], large)) == 2
    # What is of no use any more may be as much as what is, and no more.
    assert parts_to_keep(sums([large, large], [large // 2, large], 1000)) == 2
    assert parts_to_keep(sums([large], [large // 3], large)) == 0
    assert parts_to_keep(sums([large, large], [large, 0], 1000)) == 2
    assert parts_to_keep(sums([large, 2 * large], [large, 0], 1000)) == 1
    # Many become few, and the large one stays.
    assert parts_to_keep(sums([large] + [1000] * 15, [large] + [1000] * 15, 1000)) == 1
    falling = [large >> number for number in range(16)]
    assert parts_to_keep(sums(falling, falling, 1)) == 15
