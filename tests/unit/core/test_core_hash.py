"""XXH3-128: against the Python package, and what a secret does."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from builder.core.tree import Tree, hash_bytes

SECRET = random.Random(1).randbytes(192)


@given(st.binary(max_size=2048))
def test_plain_hash_is_that_of_the_package(data: bytes) -> None:
    assert hash_bytes(data) == xxhash.xxh3_128_digest(data)


@pytest.mark.parametrize("size", [0, 1, 16, 17, 128, 129, 240, 241, 1024, 65536, 256 * 1024, 256 * 1024 + 1])
def test_sizes_at_which_the_algorithm_changes(size: int) -> None:
    data = bytes(i * 7 & 255 for i in range(size))
    assert hash_bytes(data) == xxhash.xxh3_128_digest(data)


@given(st.binary(max_size=600))
def test_a_secret_changes_every_hash_and_always_in_the_same_way(data: bytes) -> None:
    found = hash_bytes(data, SECRET)
    assert found == hash_bytes(data, SECRET)
    assert found != hash_bytes(data)
    assert found != hash_bytes(data, SECRET[::-1])


@pytest.mark.parametrize("size", [1, 16, 135])
def test_a_short_secret_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="136"):
        hash_bytes(b"data", b"s" * size)


def test_the_shortest_secret_is_taken() -> None:
    assert len(hash_bytes(b"data", b"s" * 136)) == 16


@pytest.mark.parametrize("size", [0, 1, 255, 256 * 1024, 256 * 1024 + 1, 1_000_000])
def test_files_are_hashed_as_their_bytes(tmp_path: Path, size: int) -> None:
    """The content of a file in a fingerprint is the hash of its bytes, however many reads they take."""
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "b").write_bytes(data)
    (tmp_path / "c").write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if data else b"!")
    fd = os.open(tmp_path, os.O_RDONLY)
    with Tree(fd) as tree:
        first, second, third = (tree.fingerprint(tree.find(name)) for name in (b"a", b"b", b"c"))
        entry = tree.entry(tree.find(b"a"))
        numbers = (entry.mode | 0o100000, entry.uid, entry.gid, size, 0, 0)
        framed = b"".join(number.to_bytes(8, "little") for number in numbers)
        assert first == xxhash.xxh3_128_digest(framed + xxhash.xxh3_128_digest(data) + bytes(16))
    os.close(fd)
    assert first == second != third
