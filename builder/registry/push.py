"""Sending an image: only what the registry lacks, several blobs at once, the manifest last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from builder.digest import Digest
from builder.errors import RegistryError
from builder.image.manifest import Descriptor
from builder.registry.client import Client
from builder.value import dataclass

Progress = Callable[[str, int, int], None]
Open = Callable[[], BinaryIO]

_AT_ONCE = 4
_PUSH = "pull,push"


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of the blobs of a push, and the digest of the manifest that was put."""

    digest: Digest
    uploaded: tuple[Digest, ...]
    mounted: tuple[Digest, ...]
    existing: tuple[Digest, ...]


def push_image(
    client: Client,
    manifest: bytes,
    descriptor: Descriptor,
    blobs: Sequence[tuple[Descriptor, Open]],
    *,
    mount_from: Mapping[Digest, Sequence[str]] | None = None,
    on_progress: Progress | None = None,
) -> PushResult:
    """Send an image by the client's reference.

    `descriptor` is that of the manifest, `blobs` its config and layers and how to open them. `mount_from` names repositories
    of the same registry that are known to have a blob.
    """
    unique = {blob.digest: (blob, opener) for blob, opener in blobs}
    known = mount_from or {}
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="push") as pool:
        futures = [
            pool.submit(push_blob, client, blob, opener, known.get(blob.digest, ()), on_progress)
            for blob, opener in unique.values()
        ]
        try:
            results = [future.result() for future in futures]
        except BaseException:  # what others send is needed no more, and nobody waits for it
            client.abort()
            for future in futures:
                future.cancel()
            raise
    put_manifest(client, manifest, descriptor)
    by_kind = {
        kind: tuple(digest for digest, result in zip(unique, results, strict=True) if result == kind)
        for kind in ("uploaded", "mounted", "existing")
    }
    return PushResult(descriptor.digest, by_kind["uploaded"], by_kind["mounted"], by_kind["existing"])


def put_manifest(client: Client, manifest: bytes, descriptor: Descriptor) -> None:
    """Put a manifest under the client's reference; its blobs are there."""
    with client.request(
        "PUT",
        f"manifests/{client.reference.wanted}",
        headers={"Content-Type": descriptor.media_type},
        body=lambda: manifest,
        actions=_PUSH,
        expected=(200, 201, 202),
    ) as response:
        claimed = response.headers.get("Docker-Content-Digest", str(descriptor.digest))
    if claimed != str(descriptor.digest):
        raise RegistryError(f"the registry says the manifest of {client.reference} has the digest {claimed}")


def blob_exists(client: Client, digest: Digest) -> bool:
    """Whether the repository has a blob."""
    with client.request("HEAD", f"blobs/{digest}", actions=_PUSH, expected=(200, 404)) as response:
        return response.status == 200


def push_blob(
    client: Client, blob: Descriptor, opener: Open, mounts: Sequence[str], on_progress: Progress | None
) -> str:
    """Bring one blob there, if it is not: `existing`, `mounted` or `uploaded`. `mounts` are repositories that may have it."""
    if blob_exists(client, blob.digest):
        return "existing"
    return send_blob(client, blob, opener, mounts, on_progress)


def send_blob(
    client: Client, blob: Descriptor, opener: Open, mounts: Sequence[str], on_progress: Progress | None
) -> str:
    """Bring a blob there that is not: `mounted` or `uploaded`; see `push_blob`."""
    location = None
    for repository in mounts:
        query = urlencode({"mount": str(blob.digest), "from": repository})
        with client.request(
            "POST", f"blobs/uploads/?{query}", actions=_PUSH, expected=(201, 202), mount_from=repository
        ) as response:
            if response.status == 201:
                return "mounted"
            location = _location(client, response.headers.get("Location", ""))
        break  # the upload that was begun instead is as good as any
    if location is None:
        with client.request("POST", "blobs/uploads/", actions=_PUSH, expected=(202,)) as response:
            location = _location(client, response.headers.get("Location", ""))
    _upload(client, location, blob, opener, on_progress)
    return "uploaded"


def _location(client: Client, text: str) -> str:
    if not text:
        raise RegistryError(f"{client.reference.registry} begins an upload, but does not say where")
    return urljoin(client.base, text)


class _Counted:
    """A stream that tells how far it was read; http wants to know its length."""

    def __init__(self, stream: BinaryIO, blob: Descriptor, on_progress: Progress | None) -> None:
        self._stream, self._blob, self._progress = stream, blob, on_progress
        self._done = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._done += len(data)
        if self._progress is not None and data:
            self._progress(f"push {self._blob.digest.short}", self._done, self._blob.size)
        return data


def _upload(
    client: Client, location: str, blob: Descriptor, opener: Open, on_progress: Progress | None
) -> None:
    parts = urlsplit(location)
    query = f"{parts.query}&" if parts.query else ""
    url = urlunsplit(parts._replace(query=f"{query}{urlencode({'digest': str(blob.digest)})}"))
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
    streams: list[BinaryIO] = []

    def body() -> _Counted:
        streams.append(opener())
        return _Counted(streams[-1], blob, on_progress)

    try:
        with client.request("PUT", url, headers=headers, body=body, actions=_PUSH, expected=(201, 202, 204)):
            pass
    finally:
        for stream in streams:
            stream.close()
