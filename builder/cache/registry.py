"""A remote cache in a registry: an image manifest whose config is the document of records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from builder.cache.spec import CacheSpec
from builder.digest import Digest, digest_of
from builder.image.manifest import OCI_MANIFEST, Descriptor
from builder.image.reference import parse_reference
from builder.registry.auth import find_credentials
from builder.registry.client import Client
from builder.registry.pull import RegistrySource
from builder.registry.push import blob_exists, put_manifest, send_blob
from builder.value import replace

# A cache that does not answer is no reason to wait for long: steps can be carried out without it.
_WAITS = (0.5,)


class RegistryPlace:
    """See `builder.cache.place.Place`. The scope is part of the tag."""

    def __init__(self, spec: CacheSpec, docker_config: str | None, auth_config: str | None) -> None:
        reference = parse_reference(spec.get("ref"))
        if spec.scope and reference.tag:
            reference = replace(reference, tag=f"{reference.tag}-{spec.scope}")
        credentials = find_credentials(reference.registry, docker_config, auth_config)
        self._client = Client(reference, credentials, timeout=spec.timeout, waits=_WAITS)
        self._source = RegistrySource(self._client)
        self.repository: tuple[str, str] | None = (reference.registry, reference.repository)
        self.what = str(reference)

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The manifest of the reference."""
        return self._source.manifest()

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob."""
        return self._source.read(descriptor)

    def has(self, digest: Digest) -> bool:
        """Whether the repository has a blob."""
        return blob_exists(self._client, digest)

    def put(self, descriptor: Descriptor, opener: Callable[[], BinaryIO]) -> None:
        """Send a blob."""
        send_blob(self._client, descriptor, opener, (), None)

    def put_manifest(self, document: bytes) -> None:
        """Put a manifest under the reference's tag."""
        put_manifest(self._client, document, Descriptor(OCI_MANIFEST, digest_of(document), len(document)))

    def abort(self) -> None:
        """Break off requests that go on."""
        self._client.abort()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
