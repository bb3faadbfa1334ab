"""Hostile archives: nothing leaves the root, nothing crashes, whatever the bytes."""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.core.tar import Untar
from builder.errors import CoreError

Add = Callable[..., None]


def archive(*members: tuple[str, bytes, str, bytes]) -> bytes:
    """A tar of (name, type, link target, contents)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, target, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mode = kind, target, len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def unpack(root: Path, data: bytes, *, layer: bool = True, piece: int = 1 << 16, **limits: int) -> None:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Untar(fd, layer=layer, **limits) as untar:
            for start in range(0, len(data), piece):
                untar.feed(data[start : start + piece])
            untar.finish()
    finally:
        os.close(fd)


F, D, L, H = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("../escaped", F, "", b"x")],
        [("/../../escaped", F, "", b"x")],
        [("link", L, "..", b""), ("link/escaped", F, "", b"x")],
        [("link", L, "/", b""), ("link/../escaped", F, "", b"x")],
        [("a", D, "", b""), ("a/up", L, "../..", b""), ("a/up/escaped", F, "", b"x")],
        [("hard", H, "../secret", b"")],
        [("link", L, "../secret", b""), ("hard", H, "link", b""), ("hard", F, "", b"overwritten")],
        [("link", L, "../secret", b""), ("link", F, "", b"overwritten")],
        [("a", D, "", b""), ("a/x", F, "", b"1"), ("a", L, "..", b""), ("a/escaped", F, "", b"x")],
        [("x/../../escaped", F, "", b"x")],
        [(".wh...", F, "", b""), (".wh..", F, "", b"")],
    ],
)
@pytest.mark.parametrize("layer", [True, False])
def test_nothing_leaves_the_root(
    tmp_path: Path, members: list[tuple[str, bytes, str, bytes]], layer: bool
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("kept")
    try:
        unpack(root, archive(*members), layer=layer)
    except CoreError:
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "secret"]
    assert (tmp_path / "secret").read_text() == "kept"
    assert (tmp_path / "secret").stat().st_nlink == 1


def test_bounds_hold(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="more than 10 bytes"):
        unpack(tmp_path, archive(("f", F, "", b"x" * 11)), max_bytes=10)
    with pytest.raises(CoreError, match="more than 1 entries"):
        unpack(tmp_path, archive(("f", F, "", b""), ("g", F, "", b"")), max_entries=1)


def unpack_above(tmp_path: Path, data: bytes) -> Path:
    """Unpack a layer above another, which has `low` and `sub/file`; the folder with its own files."""
    lower, root = tmp_path / "lower", tmp_path / "root"
    (lower / "sub").mkdir(parents=True)
    (lower / "sub/file").write_text("LOWER")
    (lower / "low").write_text("LOWER")
    root.mkdir()
    below, fd = (os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in (lower, root))
    try:
        with Untar(fd, layer=True) as untar:
            untar.feed(data)
            untar.finish()
            untar.adopt(below)
    finally:
        os.close(fd)
        os.close(below)
    return root


@pytest.mark.parametrize("target", [".", "sub", "sub/../sub"])
def test_a_hard_link_to_a_folder_below_copies_nothing(tmp_path: Path, target: str) -> None:
    with pytest.raises(CoreError, match="hard link to a folder"):
        unpack_above(tmp_path, archive(("x", H, target, b"")))
    assert not (tmp_path / "root/x").exists()


def test_the_last_entry_of_a_name_counts(tmp_path: Path) -> None:
    """Also where an earlier one is a link to a file that only a layer below has."""
    link = ("x", H, "low", b"")
    assert (unpack_above(tmp_path / "1", archive(link)) / "x").read_text() == "LOWER"
    root = unpack_above(tmp_path / "2", archive(link, ("x", F, "", b"NEW")))
    assert (root / "x").read_text() == "NEW"
    root = unpack_above(tmp_path / "3", archive(link, ("x", D, "", b"")))
    assert list((root / "x").iterdir()) == []
    root = unpack_above(tmp_path / "4", archive(("x", F, "", b"OLD"), ("x", H, "sub/file", b"")))
    assert (root / "x").read_text() == "LOWER"
    root = unpack_above(
        tmp_path / "5", archive(link, ("x", H, "sub/file", b""), ("x", H, "gone/../low", b""))
    )
    assert (root / "x").read_text() == "LOWER"


def test_headers_without_entries_take_no_more_than_one_may(tmp_path: Path) -> None:
    record = b"SCHILY.xattr.user.a=" + b"v" * 60_000 + b"\n"
    body = (b"%d " % (len(record) + 6) + record) * 10
    header = tarfile.TarInfo("h")
    header.type, header.size = tarfile.XHDTYPE, len(body)
    one = header.tobuf() + body + bytes(-len(body) % 512)
    with pytest.raises(CoreError, match="an extended header in it cannot be read"):
        unpack(tmp_path, one * 2)


def sample() -> bytes:
    long = "n" * 150 + "/" + "m" * 120
    return archive(
        ("d", D, "", b""), ("d/f", F, "", b"contents" * 100), ("d/link", L, "f", b""), ("d/hard", H, "d/f", b""),
        (long, F, "", b"long"), ("d/.wh.gone", F, "", b""), ("é", F, "", b"utf-8"),
    )  # fmt: skip


def test_one_byte_at_a_time(tmp_path: Path) -> None:
    unpack(tmp_path, sample(), piece=1)
    assert (tmp_path / "d/f").read_bytes() == b"contents" * 100
    assert (tmp_path / "d/hard").stat().st_ino == (tmp_path / "d/f").stat().st_ino
    assert (tmp_path / ("n" * 150) / ("m" * 120)).read_text() == "long"


def test_what_is_cut_short_is_told(tmp_path: Path) -> None:
    data = sample().rstrip(b"\0")
    for end in range(100, len(data), 97):
        root = tmp_path / str(end)
        root.mkdir()
        try:
            unpack(root, data[:end])
        except CoreError as error:
            assert error.message


def test_random_damage_never_crashes(tmp_path: Path) -> None:
    dice, data = random.Random(7), sample()
    for number in range(300):
        broken = bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        root = tmp_path / str(number)
        root.mkdir()
        try:
            unpack(root, bytes(broken), piece=dice.randrange(1, 2000), max_bytes=1 << 24)
        except CoreError as error:
            assert error.message
    assert all(path.name.isdigit() for path in tmp_path.iterdir())
