"""A remote cache in a folder: an OCI image layout, which may be carried from one machine to another."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from builder.digest import Digest, digest_of
from builder.errors import ImageError
from builder.image.compression import CHUNK
from builder.image.fields import load_object
from builder.image.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, Index, parse_manifest

_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
_REF_NAME = "org.opencontainers.image.ref.name"
_LIMIT = 16 << 20


class FolderPlace:
    """See `builder.cache.place.Place`; `tag` names the cache in the folder's index, or `digest` that of its manifest."""

    def __init__(self, path: str, tag: str, digest: str = "") -> None:
        self._path, self._tag, self._digest = path, tag, digest
        self.repository: tuple[str, str] | None = None
        self.what = f"the folder {path}"

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The entry of the index that has the tag."""
        index = parse_manifest(self._read("index.json"))
        if not isinstance(index, Index):
            raise ImageError(f'the index of "{self._path}" is none')
        for entry in index.manifests:
            name = str(entry.digest) if self._digest else dict(entry.annotations).get(_REF_NAME)
            if name == (self._digest or self._tag):
                return entry, self._read(_blob(entry.digest))
        raise ImageError(f'the folder "{self._path}" has no cache named {self._digest or self._tag}')

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob."""
        with self._open(_blob(descriptor.digest)) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        return os.path.isfile(os.path.join(self._path, _blob(digest)))

    def put(self, descriptor: Descriptor, opener: Callable[[], BinaryIO]) -> None:
        """Write a blob: it appears whole."""
        with opener() as source:

            def copy(stream: BinaryIO) -> None:
                while chunk := source.read(CHUNK):
                    stream.write(chunk)

            self._write(_blob(descriptor.digest), copy)

    def put_manifest(self, document: bytes) -> None:
        """Write the manifest and name it in the index; other names stay."""
        digest = digest_of(document)
        self._write(_blob(digest), lambda stream: stream.write(document))
        if not os.path.exists(os.path.join(self._path, "oci-layout")):
            self._write("oci-layout", lambda stream: stream.write(_LAYOUT))
        lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entry = {
                "mediaType": OCI_MANIFEST,
                "digest": str(digest),
                "size": len(document),
                "annotations": {_REF_NAME: self._tag},
            }
            others = [item for item in self._entries() if _name(item) != self._tag]
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, entry]}
            text = json.dumps(index, indent=1).encode()
            self._write("index.json", lambda stream: stream.write(text))
        finally:
            os.close(lock)

    def abort(self) -> None:
        """Nothing: reading and writing come to an end."""

    def close(self) -> None:
        """Nothing is held."""

    def _entries(self) -> list[Any]:
        try:
            entries = load_object(self._read("index.json"), "index.json").get("manifests")
        except ImageError:
            return []
        return entries if isinstance(entries, list) else []

    def _open(self, name: str) -> BinaryIO:
        path = os.path.join(self._path, name)
        try:
            return open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror}") from None

    def _read(self, name: str) -> bytes:
        with self._open(name) as stream:
            try:
                data = stream.read(_LIMIT + 1)
            except OSError as error:
                raise ImageError(f"{name} of {self.what} cannot be read: {error.strerror}") from None
        if len(data) > _LIMIT:
            raise ImageError(f"{name} of {self.what} is larger than {_LIMIT >> 20} MiB")
        return data

    def _write(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        path = os.path.join(self._path, name)
        temporary = f"{path}.{os.urandom(6).hex()}.tmp"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(temporary, "xb") as stream:
                fill(stream)
            os.replace(temporary, path)
        except BaseException as error:  # also of one that breaks off what is sent
            with suppress(OSError):
                os.unlink(temporary)
            if not isinstance(error, OSError):
                raise
            raise ImageError(f"{path} cannot be written: {error.strerror}") from None


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _name(item: Any) -> object:
    annotations = item.get("annotations") if isinstance(item, dict) else None
    return annotations.get(_REF_NAME) if isinstance(annotations, dict) else None
