"""Details of builds: kept once however often they are the same, forgotten with their builds, and none where they are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.events import Condition, LayerSize, StageNode, Warned
from builder.store.details import Detail
from builder.store.history import Build
from builder.store.store import Store, open_store

DETAIL = Detail(
    stages=(StageNode(0, "a\udc80", "base"), StageNode(2, "b", "a", (0,), True)),
    layers=(LayerSize("ab", "sha256:01", 5, 7, True),),
    conditions=(Condition("hits>=1", False, "0"),),
    warnings=(Warned(0.0, "careful", "F:2"),),
    origins=((3, "type=local,src=x"),),
)


@pytest.fixture
def opened(store: Path) -> Store:
    return open_store(str(store))


def rows(store: Store, table: str) -> int:
    found = store.history.details._database.one(f"SELECT count(*) FROM {table}")
    assert found is not None
    return int(found[0])


def test_what_was_put_is_got_and_kept_once(opened: Store) -> None:
    numbers = [opened.history.add(Build(1.0, 2.0, "done"), [], DETAIL) for _ in range(3)]
    assert all(opened.history.details.get(number) == DETAIL for number in numbers)
    assert (rows(opened, "details"), rows(opened, "build_details")) == (1, 3)
    assert opened.history.details.get(99) == Detail()
    other = opened.history.add(Build(1.0, 2.0, "done"), [])
    assert opened.history.details.get(other) == Detail()


def test_they_are_forgotten_with_their_builds(opened: Store) -> None:
    first = opened.history.add(Build(1.0, 2.0, "done"), [], Detail(layers=(LayerSize("a", "b", 1),)))
    second = opened.history.add(Build(1.0, 2.0, "done"), [], DETAIL)
    opened.history.details.forget(first)
    assert opened.history.details.get(first) == Detail()
    assert opened.history.details.get(second) == DETAIL
    assert rows(opened, "details") == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"layers": 3}', '{"layers": [[1]]}', '{"stages": [["x", 1, 2, 3, 4]]}']
)
def test_damage_is_as_good_as_nothing(opened: Store, text: str) -> None:
    number = opened.history.add(Build(1.0, 2.0, "done"), [], DETAIL)
    opened.history.details._database.run("UPDATE details SET text = ?", (text,))
    assert opened.history.details.get(number) == Detail()
