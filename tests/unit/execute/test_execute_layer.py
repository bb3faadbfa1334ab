"""Layers are packed piece by piece: the same bytes on any number of cores, with or without pieces of earlier layers."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from builder.core.tar import TarWriter
from builder.digest import Digest
from builder.execute import packing, pipeline
from builder.execute.packing import Packer
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
        while size := tar.read_into(buffer):
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


def packed(
    store: Store, pieces: list[bytes], way: Callable[..., int], compression: str = "gzip"
) -> tuple[bytes, Digest]:
    """The blob that pieces become."""
    source = iter(pieces)

    def read(buffer: bytearray) -> int:
        piece = next(source, b"")
        buffer[: len(piece)] = piece
        return len(piece)

    hashed = io.BytesIO()
    with store.blobs.writer() as blob, Packer(store, compression) as packer:

        def write(piece: packing.Packed) -> None:
            packer.note(piece, blob.size)
            blob.write(piece.data)

        assert way(read, hashed.write, packer.pack, write) == sum(map(len, pieces))
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


@pytest.mark.parametrize("who", ["read", "digest", "pack", "write"])
def test_the_first_error_ends_it(who: str) -> None:
    def fail(name: str) -> None:
        if name == who:
            calls[0] += 1
            if calls[0] == 5:
                raise OSError(name)

    calls, left = [0], [1000]

    def read(buffer: bytearray) -> int:
        fail("read")
        left[0] -= 1
        return 100 if left[0] >= 0 else 0

    def pack(view: memoryview) -> bytes:
        fail("pack")
        return bytes(view)

    with pytest.raises(OSError, match=who):
        pipeline.run(read, lambda view: fail("digest"), pack, lambda data: fail("write"))
