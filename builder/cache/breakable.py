"""A place that can be broken off at any moment: whoever waits for it goes on, whatever it is doing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

from builder.cache.place import Place
from builder.digest import Digest
from builder.errors import ImageError
from builder.image.manifest import Descriptor

_Found = TypeVar("_Found")


class BreakablePlace:
    """See `Place`. What another place is asked is asked by a thread of its own, which is left to itself when `abort` is called:
    names that are not found, connections that are not made and libraries that cannot be stopped end by their timeouts, and nobody
    waits for them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._changed = threading.Condition()
        self._broken = False

    @property
    def what(self) -> str:
        """How messages call it."""
        return self._place.what

    @property
    def repository(self) -> tuple[str, str] | None:
        """A registry and a repository of it, if that is what the place is."""
        return self._place.repository

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The manifest of the cache."""
        return self._call(self._place.manifest)

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob in pieces; for those who have their own way not to wait."""
        return self._place.read(descriptor)

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        return self._call(lambda: self._place.has(digest))

    def put(self, descriptor: Descriptor, opener: Callable[[], BinaryIO]) -> None:
        """Write a blob."""

        def opened() -> BinaryIO:
            if self._broken:  # the caller is gone, and perhaps what it reads from
                raise ImageError("it was broken off")
            return opener()

        self._call(lambda: self._place.put(descriptor, opened))

    def put_manifest(self, document: bytes) -> None:
        """Put a manifest under the cache's name."""
        self._call(lambda: self._place.put_manifest(document))

    def abort(self) -> None:
        """Break off what goes on; nothing more is asked."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()
        self._place.abort()

    def close(self) -> None:
        """Let go of connections."""
        self._place.close()

    def _call(self, ask: Callable[[], _Found]) -> _Found:
        found: list[_Found] = []
        failed: list[BaseException] = []

        def answer() -> None:
            try:
                found.append(ask())
            except BaseException as error:
                failed.append(error)
            with self._changed:
                self._changed.notify_all()

        with self._changed:
            if not self._broken:
                threading.Thread(target=answer, name="cache-call", daemon=True).start()
            while not found and not failed and not self._broken:
                self._changed.wait()
        if found:
            return found[0]
        if failed:
            raise failed[0]
        raise ImageError(f"{self._place.what} was left")
