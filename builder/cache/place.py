"""Where remote caches are kept: blobs by digest, and a manifest under a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from builder.cache.spec import CacheSpec
from builder.digest import Digest
from builder.errors import UsageError
from builder.image.manifest import Descriptor


class Place(Protocol):
    """One place. Threads may share it. What it gives is verified by nobody yet; failures are `BuilderError`s."""

    what: str
    # A registry and a repository of it, if that is what the place is.
    repository: tuple[str, str] | None

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

        return FolderPlace(spec.get("dest") if write else spec.get("src"), spec.tag)
    if spec.type == "registry":
        from builder.cache.registry import RegistryPlace

        return RegistryPlace(spec, docker_config, auth_config)
    if spec.type == "s3":
        from builder.cache.s3 import S3Place

        return S3Place(spec)
    raise UsageError(f"a cache of type {spec.type} has no place of its own")
