"""A place elsewhere whose traffic is counted: what is fetched from it and pushed to it belongs to a build's report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from builder.cache.place import Place
from builder.digest import Digest
from builder.image.manifest import Descriptor
from builder.store.meter import Meter


class MeteredPlace:
    """See `Place`; every call is handed on."""

    def __init__(self, place: Place, meter: Meter) -> None:
        self._place, self._meter = place, meter

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
        descriptor, document = self._place.manifest()
        self._meter.count(fetched=len(document))
        return descriptor, document

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob in pieces."""
        for chunk in self._place.read(descriptor):
            self._meter.count(fetched=len(chunk))
            yield chunk

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        return self._place.has(digest)

    def put(self, descriptor: Descriptor, opener: Callable[[], BinaryIO]) -> None:
        """Write a blob."""
        self._place.put(descriptor, opener)
        self._meter.count(pushed=descriptor.size)

    def put_manifest(self, document: bytes) -> None:
        """Put a manifest under the cache's name."""
        self._place.put_manifest(document)
        self._meter.count(pushed=len(document))

    def abort(self) -> None:
        """Break off what goes on."""
        self._place.abort()

    def close(self) -> None:
        """Let go of connections."""
        self._place.close()
