"""A place that can be left at any moment."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from conftest import DEADLINE

from builder.cache.breakable import BreakablePlace
from builder.digest import Digest, digest_of
from builder.errors import BuilderError
from builder.image.manifest import Descriptor

BLOB = Descriptor("x/y", digest_of(b"abc"), 3)


class _Place:
    """A place that says nothing until it is told to."""

    what, repository = "a place", None

    def __init__(self) -> None:
        self.over, self.asked = threading.Event(), threading.Event()
        self.aborted = 0

    def has(self, digest: Digest) -> bool:
        self.asked.set()
        self.over.wait()
        return digest == BLOB.digest

    def put(self, descriptor: Descriptor, opener: Any) -> None:
        self.has(descriptor.digest)
        opener()

    def put_manifest(self, document: bytes) -> None:
        raise BuilderError("no manifest here")

    def abort(self) -> None:
        self.aborted += 1


def test_answers_and_errors_are_those_of_the_place() -> None:
    place = _Place()
    place.over.set()
    one = BreakablePlace(place)  # type: ignore[arg-type]
    assert one.has(BLOB.digest) and not one.has(digest_of(b"other"))
    with pytest.raises(BuilderError, match="no manifest here"):
        one.put_manifest(b"")


def test_whoever_waits_goes_on_and_nothing_more_is_asked() -> None:
    place = _Place()
    one = BreakablePlace(place)  # type: ignore[arg-type]
    opened: list[str] = []

    def opener() -> io.BytesIO:
        opened.append("it")
        return io.BytesIO()

    said: list[str] = []

    def wait() -> None:
        try:
            one.put(BLOB, opener)
        except BuilderError as error:
            said.append(error.message)

    thread = threading.Thread(target=wait)
    thread.start()
    assert place.asked.wait(DEADLINE)
    one.abort()
    thread.join(DEADLINE)
    assert said == ["a place was left"] and place.aborted == 1
    place.asked.clear()
    with pytest.raises(BuilderError, match="was left"):
        one.has(BLOB.digest)
    assert not place.asked.is_set()
    # What it reads from may be gone by now.
    before = [thread for thread in threading.enumerate() if thread.name == "cache-call"]
    place.over.set()
    for left in before:
        left.join(DEADLINE)
    assert opened == []
