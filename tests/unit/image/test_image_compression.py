"""Compressed streams: joined, padded, cut, and bombs."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator

import pytest
import zstandard

from builder.errors import ImageError
from builder.image import compression
from builder.image.compression import decompress, decompress_bounded

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}
every_kind = pytest.mark.parametrize("kind", PACKERS)


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@every_kind
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_members_and_padding_in_chunks_of_any_size(kind: str, size: int) -> None:
    pack = PACKERS[kind]
    data = pack(b"one" * 1000) + pack(b"two") + bytes(8) + pack(b"") + pack(b"three") + bytes(1024)
    assert b"".join(decompress(chunks(data, size))) == b"one" * 1000 + b"two" + b"three"


@every_kind
def test_a_cut_stream_is_told(kind: str) -> None:
    data = PACKERS[kind](bytes(range(256)) * 100)
    with pytest.raises(ImageError, match="the file is cut short"):
        list(decompress([data[:-3]], what="the file"))


@every_kind
def test_no_piece_of_a_bomb_is_large(kind: str) -> None:
    data = PACKERS[kind](bytes(300_000_000))
    pieces = [len(piece) for piece in decompress([data])]
    assert sum(pieces) == 300_000_000
    assert max(pieces) < 80_000_000


@every_kind
def test_a_bomb_ends_where_no_archive_goes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(compression, "MOST_TIMES", 100)
    bomb = PACKERS[kind](bytes(30_000_000))
    with pytest.raises(ImageError, match=r"a\.tar unpacks to more than 100 times its size"):
        for piece in decompress_bounded([bomb], what="a.tar"):
            assert len(piece) <= 30_000_000
    small = PACKERS[kind](bytes(900_000))  # as much, but not much
    assert sum(map(len, decompress_bounded([small], what="a.tar"))) == 900_000


def test_many_empty_members_are_not_quadratic() -> None:
    """A megabyte of them, of which each copied what was left: that took minutes."""
    assert list(decompress([bz2.compress(b"") * 70_000])) == []


def test_a_dictionary_of_gigabytes_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20, "preset": 0}]
    data = bytearray(lzma.compress(b"x" * 100, filters=filters))
    assert data[16] == 16  # the dictionary's size of the filter (xz file format, 5.3.1): 1 MiB
    data[16] = 39  # 3 GiB
    data[20:24] = __import__("zlib").crc32(data[12:20]).to_bytes(4, "little")
    with pytest.raises(ImageError, match="emory"):
        list(decompress([bytes(data)]))
