"""How long a build stands still for a cache: for what its steps spare, and a few seconds."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from builder.cache.patience import Patience, PatientSource
from builder.digest import digest_of
from builder.errors import BuilderError
from builder.image.manifest import Descriptor


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def patience(clock: Clock, grace: float = 5, silence: float = 20) -> Patience:
    return Patience(grace, silence, clock)


def test_time_counts_only_while_somebody_stands_still() -> None:
    clock = Clock()
    one = patience(clock)
    clock.now += 50
    assert one.left() == 5
    with one.standing():
        clock.now += 1
        with one.standing():  # two at once wait for the same seconds
            clock.now += 2
            assert one.left() == 2
    assert one.left() == 2
    clock.now += 50
    assert one.left() == 2
    one.spare(30)
    assert one.left() == 32


def test_a_cache_that_spares_nothing_has_its_grace_and_no_more() -> None:
    clock = Clock()
    one = patience(clock)
    one.expect(1000)
    with one.standing():
        clock.now += 4.9
        assert one.objection(100.0) == ""
        clock.now += 0.2
        assert "it is too slow: the build stood still for it for 5.1 s" in one.objection(100.0)


def test_what_will_not_be_worth_it_is_known_before() -> None:
    clock = Clock()
    one = patience(clock)
    one.spare(95)  # 100 seconds are allowed
    one.expect(10_000)
    with one.standing():
        clock.now += 5
        one.came(400)  # 125 seconds in all
        assert (
            one.objection(100.0)
            == "it is too slow: its layers would take 120 s more, and its steps spare 95.0 s"
        )
        one.came(200)  # 83 seconds in all
        assert one.objection(100.0) == ""


def test_silence_ends_it_however_much_it_would_spare() -> None:
    clock = Clock()
    one = patience(clock)
    one.spare(10_000)
    one.expect(1000)
    with one.standing():
        clock.now += 19
        assert one.objection(100.0) == ""
        clock.now += 1
        assert one.objection(100.0) == "it has sent nothing for 20 s"
        one.came(1)
        clock.now += 1
        assert one.objection(100.0).startswith("it is too slow: its layers would take")
        assert one.objection(clock.now) != "it has sent nothing for 20 s"


class _Place:
    """A place with one blob, which stops in its midst when it is told to."""

    def __init__(self, pieces: list[bytes], *, stops: bool = False) -> None:
        self.pieces, self.stops, self.over = pieces, stops, threading.Event()

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        yield from self.pieces
        if self.stops:
            self.over.wait()


def test_a_blob_comes_whole_and_in_order() -> None:
    pieces = [bytes([number % 251]) * 100_000 for number in range(200)]  # more than may wait
    source = PatientSource(_Place(pieces), Patience(5, 20))  # type: ignore[arg-type]
    data = b"".join(pieces)
    descriptor = Descriptor("x/y", digest_of(data), len(data))
    assert b"".join(source.read(descriptor)) == data


def test_nobody_waits_for_a_place_that_stops() -> None:
    class Running(Clock):
        """A second passes whenever somebody looks, once there is something to be seen."""

        def __call__(self) -> float:
            self.now += bool(seen)
            return self.now

    seen: list[bytes] = []
    place = _Place([b"abc"], stops=True)
    source = PatientSource(place, patience(Running()))  # type: ignore[arg-type]
    with pytest.raises(BuilderError, match="it is too slow"):
        for piece in source.read(Descriptor("x/y", digest_of(b""), 10)):
            seen.append(piece)  # noqa: PERF402 - one by one: the clock looks at it
    assert seen == [b"abc"]
    place.over.set()


def test_an_error_of_the_place_comes_where_its_bytes_would() -> None:
    def broken() -> Iterator[bytes]:
        yield b"abc"
        raise BuilderError("it broke")

    place = _Place([])
    place.read = lambda descriptor: broken()  # type: ignore[method-assign]
    seen = []
    with pytest.raises(BuilderError, match="it broke"):
        seen.extend(PatientSource(place, Patience(5, 20)).read(Descriptor("x/y", digest_of(b""), 10)))  # type: ignore[arg-type]
    assert seen == [b"abc"]
