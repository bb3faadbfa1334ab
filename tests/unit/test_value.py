"""The program's own `dataclass` against the standard one."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
from types import FrameType
from typing import Any

import pytest

from builder import value
from builder.errors import Location
from builder.events import Outcome, StepFinished


def both(frozen: bool = True) -> list[tuple[type[Any], type[Any]]]:
    """A class and one that inherits from it, made by each of the two."""
    made = []
    for module in (value, dataclasses):

        class Base:
            a: int
            b: str = "b"

            def double(self) -> int:
                return self.a * 2

        base = module.dataclass(frozen=frozen, slots=True)(Base)

        class Child(base):  # type: ignore[misc, valid-type]
            c: list[int] = module.field(default_factory=list)
            d: str = module.field(default="secret", repr=False)

        made.append((base, module.dataclass(frozen=frozen, slots=True)(Child)))
    return made


@pytest.mark.parametrize(
    ("args", "given"),
    [
        ((1,), {}),
        ((1, "x"), {}),
        ((), {"a": 1, "d": "y"}),
        ((1, "x", [2], "z"), {}),
        ((1,), {"c": [1], "b": "q"}),
        ((), {}),
        ((1, 2, 3, 4, 5), {}),
        ((1,), {"a": 2}),
        ((1,), {"nosuch": 2}),
    ],
)
def test_objects_are_made_and_shown_alike(args: tuple[object, ...], given: dict[str, object]) -> None:
    found = []
    for _, child in both():
        try:
            item = child(*args, **given)
        except TypeError:
            found.append("TypeError")
        else:
            found.append(f"{item!r} {item.d} {item.double()} {dataclasses.asdict(item)}")
    assert found[0] == found[1]


def test_equality_hashes_and_matching() -> None:
    for base, child in both():
        assert base(1) == base(1, "b") != base(2)
        assert hash(base(1)) == hash(base(1)) and len({base(1), base(1), base(2)}) == 2
        assert base(1) != child(1) and base(1) != (1, "b")
        assert base.__match_args__ == ("a", "b") and child.__match_args__ == ("a", "b", "c", "d")
        with pytest.raises(TypeError):
            hash(child(1))  # it holds a list
        match base(3, "x"):
            case base(a, "x"):
                assert a == 3
            case _:
                raise AssertionError
    for base, _ in both(frozen=False):
        assert base.__hash__ is None
        item = base(1)
        item.a = 5
        assert item == base(5)


def test_frozen_means_frozen_and_slots_mean_slots() -> None:
    for base, child in both():
        for item in (base(1), child(1)):
            with pytest.raises(dataclasses.FrozenInstanceError):
                item.a = 2
            with pytest.raises(dataclasses.FrozenInstanceError):
                del item.a
            assert not hasattr(item, "__dict__")
    for base, _ in both(frozen=False):
        with pytest.raises(AttributeError):
            base(1).nosuch = 1


def test_factories_make_a_new_object_each_time() -> None:
    for _, child in both():
        assert child(1).c is not child(1).c


def test_copies() -> None:
    for (_, child), replace in zip(both(), (value.replace, dataclasses.replace), strict=True):
        item = child(1, c=[1])
        assert (replace(item, a=2).a, replace(item, a=2).c) == (2, [1])
        assert copy.copy(item) == item == copy.deepcopy(item)


def test_the_standard_functions_take_the_program_s_classes() -> None:
    step = StepFinished(1.0, 1, Outcome.HIT, 0.5)
    assert dataclasses.is_dataclass(step)
    assert [field.name for field in dataclasses.fields(step)] == [field.name for field in value.fields(step)]
    assert dataclasses.asdict(step)["outcome"] == "hit"
    assert dataclasses.replace(step, size=3).size == 3 == value.replace(step, size=3).size
    assert pickle.loads(pickle.dumps(Location("f", 1))) == Location("f", 1)


def test_checks_after_making() -> None:
    class Positive:
        a: int

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError

    made: Any = value.dataclass(frozen=True, slots=True)(Positive)
    assert made(1).a == 1
    with pytest.raises(ValueError):
        made(-1)


def test_classes_cost_next_to_nothing() -> None:
    def calls(module: Any) -> int:
        class Some:
            a: int
            b: int
            c: int = 0

        count = 0

        def note(_frame: FrameType, _event: str, _argument: object) -> None:
            nonlocal count
            count += 1

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            module.dataclass(frozen=True, slots=True)(Some)
        finally:
            sys.setprofile(before)
        return count

    assert calls(value) * 3 < calls(dataclasses)
