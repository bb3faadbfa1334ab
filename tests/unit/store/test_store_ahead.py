"""A thread that goes ahead on a stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from builder.store import ahead
from builder.store.ahead import Ahead


def test_all_pieces_come_in_order() -> None:
    with Ahead(b"%d" % number for number in range(1000)) as pieces:
        assert list(pieces) == [b"%d" % number for number in range(1000)]


def test_no_more_than_a_bound_waits() -> None:
    made = [0]

    def source() -> Iterator[bytes]:
        for _ in range(100):
            made[0] += 1
            yield bytes(1 << 20)

    taken = 0
    with Ahead(source()) as pieces:
        for _ in pieces:
            taken += 1
            # Those that wait, the one that is made, the one that was taken.
            assert made[0] - taken <= (ahead._MOST >> 20) + 2
    assert taken == 100


def test_an_error_comes_behind_the_pieces_before_it() -> None:
    def source() -> Iterator[bytes]:
        yield b"first"
        raise ValueError("second")

    with Ahead(source()) as pieces:
        taken = iter(pieces)
        assert next(taken) == b"first"
        with pytest.raises(ValueError, match="second"):
            next(taken)


def test_who_stops_early_stops_the_thread() -> None:
    before = set(threading.enumerate())

    def source() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    with pytest.raises(KeyError), Ahead(source()) as pieces:
        next(iter(pieces))
        raise KeyError
    assert set(threading.enumerate()) <= before
