"""Images of a registry as a source: manifests by tag or digest, blobs as streams that survive a broken connection."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from urllib3.exceptions import HTTPError

from builder.digest import Digest, parse_digest
from builder.errors import RegistryError
from builder.image.manifest import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
)
from builder.registry.client import Client, Response

_ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
_MANIFEST_LIMIT = 4 << 20
_CHUNK = 256 << 10
_MOST_RESUMES = 5


class RegistrySource:
    """The image that a client's reference names; an `ImageSource` of the store."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The manifest or index, its digest checked against what the registry says and what was asked for."""
        return self._get_manifest(self._client.reference.wanted)

    def _get_manifest(self, wanted: str) -> tuple[Descriptor, bytes]:
        headers = {"Accept": _ACCEPT}
        with self._client.request("GET", f"manifests/{wanted}", headers=headers) as response:
            data = _read_bounded(response, _MANIFEST_LIMIT, f"the manifest of {self._client.reference}")
            media_type = response.headers.get("Content-Type", OCI_MANIFEST).partition(";")[0]
            claimed = response.headers.get("Docker-Content-Digest", "")
        digest = Digest("sha256", hashlib.sha256(data).hexdigest())
        for text in (claimed, wanted):
            if text.startswith("sha256:") and parse_digest(text) != digest:
                raise RegistryError(
                    f"the manifest of {self._client.reference} has the digest {digest}, not {text}",
                    hint="the registry, or something on the way to it, gives other bytes than it promises",
                )
        return Descriptor(media_type, digest, len(data)), data

    def resolve(self) -> Digest:
        """The digest that the reference stands for now, without its manifest where the registry tells it."""
        wanted = self._client.reference.wanted
        with self._client.request(
            "HEAD", f"manifests/{wanted}", headers={"Accept": _ACCEPT}, expected=(200, 405)
        ) as response:
            claimed = response.headers.get("Docker-Content-Digest", "")
            if response.status == 200 and claimed:
                return parse_digest(claimed)
        return self.manifest()[0].digest

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob or manifest; where the connection breaks, the rest is asked for again."""
        if descriptor.media_type in (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX):
            yield self._get_manifest(str(descriptor.digest))[1]
            return
        done, resumes = 0, 0
        while done < descriptor.size or not resumes:
            headers = {"Range": f"bytes={done}-"} if done else {}
            expected = (206,) if done else (200,)
            with self._client.request(
                "GET", f"blobs/{descriptor.digest}", headers=headers, expected=expected
            ) as response:
                try:
                    for chunk in response.stream(_CHUNK, decode_content=False):
                        done += len(chunk)
                        yield chunk
                except (HTTPError, OSError) as error:
                    if resumes >= _MOST_RESUMES or self._client.aborted:
                        raise RegistryError(
                            f"the connection for {descriptor.digest.short} of {self._client.reference} broke "
                            f"{resumes + 1} times: {error}"
                        ) from None
                    resumes += 1
                    continue
            return


def _read_bounded(response: Response, limit: int, what: str) -> bytes:
    data = bytearray()
    try:
        for chunk in response.stream(_CHUNK, decode_content=False):
            data += chunk
            if len(data) > limit:
                raise RegistryError(f"{what} is larger than {limit} bytes")
    except (HTTPError, OSError) as error:
        raise RegistryError(f"{what} could not be read: {error}") from None
    return bytes(data)
