"""OCI image layouts as sources of images: folders that other tools made, in which everything may be hostile."""

from __future__ import annotations

import os
from collections.abc import Iterator

from builder.digest import parse_digest
from builder.errors import ImageError
from builder.image.compression import CHUNK
from builder.image.manifest import Descriptor, Index, parse_manifest

_REF_NAME = "org.opencontainers.image.ref.name"
_INDEX_LIMIT = 16 << 20


class LayoutSource:
    """One image of a layout: `FOLDER[:TAG][@DIGEST]`; without either, the tag `latest` or the only image."""

    def __init__(self, text: str) -> None:
        path, _, digest = text.partition("@")
        self._digest = parse_digest(digest) if digest else None
        self._tag: str | None = None
        if not os.path.isdir(path):
            path, _, tag = path.rpartition(":")
            self._tag = tag or None
        self._path = path
        self._text = text

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The chosen entry of the layout's index, and its document."""
        if not os.path.isfile(os.path.join(self._path, "oci-layout")):
            raise ImageError(
                f'"{self._text}" is no OCI image layout',
                hint="give the folder that holds oci-layout and index.json",
            )
        try:
            with open(os.path.join(self._path, "index.json"), "rb") as stream:
                index = parse_manifest(stream.read(_INDEX_LIMIT))
        except OSError as error:
            raise ImageError(f'the index of "{self._text}" cannot be read: {error.strerror}') from None
        if not isinstance(index, Index):
            raise ImageError(f'the index of "{self._text}" is none')
        chosen = self._choose(index)
        return chosen, b"".join(self.read(chosen))

    def _choose(self, index: Index) -> Descriptor:
        images = [entry for entry in index.manifests if not entry.is_attestation]
        if self._digest is not None:
            images = [entry for entry in images if entry.digest == self._digest]
        elif self._tag is not None or len(images) > 1:
            wanted = self._tag or "latest"
            images = [entry for entry in images if _is_named(entry, wanted)]
        if not images:
            names = ", ".join(sorted(dict(entry.annotations).get(_REF_NAME, "") for entry in index.manifests))
            raise ImageError(
                f'the layout "{self._text}" has no such image', hint=f"it has: {names or 'none'}"
            )
        return images[0]

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob."""
        digest = descriptor.digest
        path = os.path.join(self._path, "blobs", digest.algorithm, digest.hex)
        try:
            stream = open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise ImageError(f'the layout "{self._text}" has no blob {digest}: {error.strerror}') from None
        with stream:
            while chunk := stream.read(CHUNK):
                yield chunk


def _is_named(entry: Descriptor, wanted: str) -> bool:
    name = dict(entry.annotations).get(_REF_NAME, "")
    return name == wanted or name.rpartition(":")[2] == wanted
