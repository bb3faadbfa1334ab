"""A place that is opened when it is first used."""

from __future__ import annotations

import threading

import pytest
from conftest import DEADLINE

from builder.cache.folder import FolderPlace
from builder.cache.place import LatePlace, Place
from builder.digest import digest_of
from builder.errors import BuilderError

NAME = digest_of(b"abc")


def test_it_is_opened_once_and_only_when_it_is_asked() -> None:
    opened: list[Place] = []

    def make() -> Place:
        opened.append(FolderPlace("/nowhere", "latest"))
        return opened[-1]

    place = LatePlace(make)
    assert opened == []
    assert not place.has(NAME) and not place.has(NAME)
    assert place.what == "the folder /nowhere" and len(opened) == 1


def test_it_is_not_opened_any_more_when_it_was_left() -> None:
    place = LatePlace(lambda: pytest.fail("it was opened"))
    place.abort()
    place.close()
    with pytest.raises(BuilderError, match="it was left"):
        place.has(NAME)


def test_it_is_left_also_while_it_is_opened() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def make() -> Place:
        begun.set()
        go_on.wait()
        return FolderPlace("/nowhere", "latest")

    place = LatePlace(make)
    said: list[str] = []

    def ask() -> None:
        try:
            place.has(NAME)
        except BuilderError as error:
            said.append(error.message)

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(DEADLINE)
    place.abort()
    go_on.set()
    thread.join(DEADLINE)
    assert said == ["it was left"]
