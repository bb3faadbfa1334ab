"""Where remote caches are kept: blobs by digest, and a manifest under a name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from builder.cache.spec import CacheSpec
from builder.digest import Digest
from builder.errors import ImageError, UsageError
from builder.image.manifest import Descriptor


class Place(Protocol):
    """One place. Threads may share it. What it gives is verified by nobody yet; failures are `BuilderError`s."""

    @property
    def what(self) -> str:
        """How messages call it."""
        ...

    @property
    def repository(self) -> tuple[str, str] | None:
        """A registry and a repository of it, if that is what the place is."""
        ...

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The manifest of the cache; an error if there is none."""
        ...

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob in pieces."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        ...

    def put(self, descriptor: Descriptor, opener: Callable[[], BinaryIO]) -> None:
        """Write a blob."""
        ...

    def put_manifest(self, document: bytes) -> None:
        """Put a manifest under the cache's name, in place of the one before."""
        ...

    def abort(self) -> None:
        """Break off what other threads do here, as soon as can be: it ends with an error, and is not tried again."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class LatePlace:
    """A place that is opened when it is first used: most builds that name one ask it for nothing."""

    def __init__(self, opened: Callable[[], Place]) -> None:
        self._opened = opened
        self._place: Place | None = None
        self._over = False
        self._lock = threading.Lock()

    @property
    def what(self) -> str:
        """How messages call it."""
        return self._now().what

    @property
    def repository(self) -> tuple[str, str] | None:
        """A registry and a repository of it, if that is what the place is and nobody has left it."""
        return None if self._over else self._now().repository

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The manifest of the cache."""
        return self._now().manifest()

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob in pieces."""
        return self._now().read(descriptor)

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        return self._now().has(digest)

    def put(self, descriptor: Descriptor, opener: Callable[[], BinaryIO]) -> None:
        """Write a blob."""
        self._now().put(descriptor, opener)

    def put_manifest(self, document: bytes) -> None:
        """Put a manifest under the cache's name."""
        self._now().put_manifest(document)

    def abort(self) -> None:
        """Break off what goes on, and what has not begun yet."""
        self._over = True
        if self._place is not None:
            self._place.abort()

    def close(self) -> None:
        """Let go of connections; it is not opened any more."""
        self._over = True
        if self._place is not None:
            self._place.close()

    def _now(self) -> Place:
        with self._lock:
            if self._place is None and not self._over:
                self._place = self._opened()
            if self._place is None or self._over:
                raise ImageError("it was left")
            return self._place


def check_place(spec: CacheSpec) -> None:
    """A `UsageError` if what a place needs is not installed; nothing is imported yet."""
    if spec.type == "s3":
        from importlib.util import find_spec

        if find_spec("boto3") is None:
            raise UsageError("a cache in S3 needs the package boto3", hint="pip install 'pybuild-oci[s3]'")


def open_place(
    spec: CacheSpec,
    *,
    docker_config: str | None = None,
    auth_config: str | None = None,
    write: bool = False,
) -> Place:
    """The place that a checked spec names; nothing is asked or made yet."""
    if spec.type == "local":
        from builder.cache.folder import FolderPlace

        return FolderPlace(spec.get("dest") if write else spec.get("src"), spec.tag, spec.get("digest"))
    if spec.type == "registry":
        from builder.cache.breakable import BreakablePlace
        from builder.cache.registry import RegistryPlace

        return BreakablePlace(RegistryPlace(spec, docker_config, auth_config))
    if spec.type == "s3":
        from builder.cache.breakable import BreakablePlace
        from builder.cache.s3 import S3Place

        return BreakablePlace(S3Place(spec))
    raise UsageError(f"a cache of type {spec.type} has no place of its own")
