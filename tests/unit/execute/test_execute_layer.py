"""Layers are packed piece by piece: the same bytes on any number of cores, with or without pieces of earlier layers."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from builder.core.changes import settle
from builder.core.facts import Facts
from builder.core.tar import TarWriter
from builder.digest import Digest
from builder.execute import pipeline
from builder.execute.packing import LayerPieces, Packer
from builder.store.store import Store, open_store


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some thousand small files, a large one, and folders."""
    root, dice = tmp_path_factory.mktemp("tree"), random.Random(3)
    for number in range(1500):
        folder = root / f"d{number // 50:02}"
        folder.mkdir(exist_ok=True)
        text = dice.randbytes(dice.randrange(1500)) + b"the same again and again\n" * dice.randrange(100)
        (folder / f"f{number:04}").write_bytes(text)
    (root / "d07/large").write_bytes(dice.randbytes(1000) * 5000)
    return root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "store")) as opened:
        yield opened


def pieces_of(root: Path) -> list[bytes]:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    buffer, found = bytearray(pipeline.LARGEST), []
    with TarWriter(folder, layer=True, max_mtime=0, pieces=True) as tar:
        while size := tar.plan(len(buffer))[0]:
            tar.fill(buffer)
            found.append(bytes(buffer[:size]))
    os.close(folder)
    return found


def whole(root: Path) -> bytes:
    folder, found = os.open(root, os.O_RDONLY | os.O_DIRECTORY), b""
    with TarWriter(folder, layer=True, max_mtime=0) as tar:
        while chunk := tar.read(4099):
            found += bytes(chunk)
    os.close(folder)
    return found


Way = Callable[[Any, Packer], int]


class Given:
    """A source of pieces that are all there."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    def next(self, buffer: bytearray) -> tuple[int, None]:
        piece = next(self._pieces, b"")
        buffer[: len(piece)] = piece
        return len(piece), None


def packed(store: Store, pieces: list[bytes], way: Way, compression: str = "gzip") -> tuple[bytes, Digest]:
    """The blob that pieces become."""
    hashed = io.BytesIO()
    with store.blobs.writer() as blob:

        def write(data: bytes | memoryview) -> int:
            at = blob.size
            blob.write(data)
            return at

        with Packer(store, compression, hashed.write, write) as packer:
            assert way(Given(pieces), packer) == sum(map(len, pieces))
            digest = blob.commit()
            packer.keep(digest)
    assert hashed.getvalue() == b"".join(pieces)
    with store.blobs.open(digest) as stream:
        return stream.read(), digest


def test_pieces_are_the_tar(tree: Path) -> None:
    pieces = pieces_of(tree)
    assert b"".join(pieces) == whole(tree)
    assert len(pieces) > 10
    assert all(64 * 1024 <= len(piece) <= pipeline.LARGEST for piece in pieces[:-1])
    assert sorted(tarfile.open(fileobj=io.BytesIO(b"".join(pieces))).getnames())[0] == "d00"


def test_a_change_makes_few_pieces_different(tree: Path) -> None:
    before = pieces_of(tree)
    (tree / "d03/f0000 new").write_bytes(b"x" * 70_001)
    try:
        after = pieces_of(tree)
    finally:
        (tree / "d03/f0000 new").unlink()
    assert 1 <= len(set(after) - set(before)) <= 3
    assert pieces_of(tree) == before


@pytest.mark.parametrize("compression", ["gzip", "zstd", "uncompressed"])
def test_every_way_gives_the_same_bytes(tmp_path: Path, tree: Path, compression: str) -> None:
    pieces, found = pieces_of(tree), set()
    for name, way in (("one", pipeline.run_alone), ("many", pipeline.run)):
        with open_store(str(tmp_path / name)) as store:
            found.add(packed(store, pieces, way, compression)[0])
            found.add(packed(store, pieces, way, compression)[0])  # now from the earlier blob
    (data,) = found
    plain = b"".join(pieces)
    if compression == "gzip":
        assert gzip.decompress(data) == plain
    elif compression == "zstd":
        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True)
        assert reader.read() == plain
    else:
        assert data == plain


def test_earlier_pieces_are_used_again_if_they_are_whole(
    store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = pieces_of(tree)
    data, digest = packed(store, pieces, pipeline.run)
    count = 0
    compress = Packer._compress

    def counted(self: Packer, plain: memoryview) -> bytes:
        nonlocal count
        count += 1
        return compress(self, plain)

    monkeypatch.setattr(Packer, "_compress", counted)
    assert packed(store, [b"another beginning", *pieces], pipeline.run)[0].endswith(data)
    assert count == 1
    # The newest blob that has them is the second: damage it, then take it away.
    for blob in (Path(store.path) / "blobs/sha256").iterdir():
        if blob.name != digest.hex:
            broken = bytearray(blob.read_bytes())
            broken[len(broken) // 2] ^= 1
            blob.write_bytes(broken)
    count = 0
    assert packed(store, pieces, pipeline.run_alone)[0] == data
    assert count == 1
    (Path(store.path) / "blobs/sha256" / digest.hex).unlink()
    count = 0
    assert packed(store, pieces, pipeline.run)[0] == data
    assert count == len(pieces)


def as_layer(store: Store, root: Path, facts: Facts | None) -> tuple[bytes, int, bytes]:
    """The blob of a folder's layer, how much of it was read, and its tar."""
    hashed, folder = io.BytesIO(), os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    with store.blobs.writer() as blob:

        def write(data: bytes | memoryview) -> int:
            at = blob.size
            blob.write(data)
            return at

        with (
            TarWriter(folder, layer=True, max_mtime=0, pieces=True, facts=facts) as tar,
            Packer(store, "gzip", hashed.write, write) as packer,
        ):
            pieces = LayerPieces(tar, packer)
            pipeline.run(pieces, packer)
            digest = blob.commit()
            packer.keep(digest)
    os.close(folder)
    return store.blobs.read(digest, 1 << 30), pieces.read, hashed.getvalue()


def known(store: Store, root: Path) -> Facts:
    folder, facts = os.open(root, os.O_RDONLY | os.O_DIRECTORY), Facts(store.secret)
    settle(folder, -1, store.secret, facts)
    os.close(folder)
    return facts


def test_files_that_are_known_are_not_read(store: Store, tmp_path: Path, tree: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(tree, root)
    first = as_layer(store, root, known(store, root))
    assert first[1] == len(first[2]) == len(whole(root))
    assert as_layer(store, root, known(store, root)) == (first[0], 0, first[2])
    # Times and names that the facts lack are asked for; what has changed is read, and no more than what is beside it.
    (root / "d03/f0150").write_bytes(b"another")
    (root / "d05/f0250").chmod(0o600)
    os.setxattr(root / "d09/f0450", "user.some", b"thing")
    (root / "d11/new").symlink_to("target")
    second = as_layer(store, root, known(store, root))
    assert second[2] == whole(root) != first[2]
    assert 0 < second[1] <= 4 * 3 * pipeline.LARGEST
    with open_store(str(tmp_path / "fresh")) as fresh:
        assert as_layer(fresh, root, None) == (second[0], len(second[2]), second[2])


@pytest.mark.parametrize("who", ["read", "digest", "pack", "write"])
def test_the_first_error_ends_it(who: str) -> None:
    def fail(name: str) -> None:
        if name == who:
            calls[0] += 1
            if calls[0] == 5:
                raise OSError(name)

    calls, left = [0], [1000]

    class Work:
        def next(self, buffer: bytearray) -> tuple[int, None]:
            fail("read")
            left[0] -= 1
            return 100 if left[0] >= 0 else 0, None

        def digest(self, plain: memoryview) -> None:
            fail("digest")

        def pack(self, plain: memoryview) -> bytes:
            fail("pack")
            return bytes(plain)

        def restore(self, found: None, size: int) -> tuple[bytes, memoryview]:
            raise NotImplementedError

        def write(self, packed: bytes) -> None:
            fail("write")

    with pytest.raises(OSError, match=who):
        pipeline.run(Work(), Work())
