"""Folders of cache mounts on their way: packs of files, each a blob, so that only packs with changes move.

A file is in the pack that its name falls into, whatever else is in the folder. A pack is a deterministic tar, compressed: the
same files with the same times make the same blob on every machine.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Protocol

from builder.cache.document import RemoteMount
from builder.core.tar import TarWriter, Untar
from builder.core.tree import Tree
from builder.digest import Digest
from builder.errors import CoreError, ImageError
from builder.image.compression import CHUNK, decompress_bounded
from builder.image.manifest import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor
from builder.store.importing import ImageSource, bounded
from builder.store.layers import Layer
from builder.value import dataclass

_PACK = 4 << 20  # bytes of files that a pack is to have
_MOST_PACKS = 256
_MOST_BYTES = 256 << 30
_MOST_ENTRIES = 10_000_000
_TYPES = {"gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD, "uncompressed": OCI_LAYER}


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack and the file that it was written to."""

    layer: Layer
    path: str


def pack_folder(fd: int, folder: str, *, compression: str) -> Iterator[Packed]:
    """Write what is below a descriptor to packs in an empty folder; packs without a file are left out.

    A `CoreError` if files change meanwhile.
    """
    with Tree(fd) as tree:
        _, size, _ = tree.measure(tree.find(b""))
    parts = 1
    while parts < _MOST_PACKS and size > parts * _PACK:
        parts *= 2
    with TarWriter(fd, layer=False) as tar:
        for part in range(parts + 1):
            # Folders change with every file in them; their times are no use to anybody.
            tar.select(part, parts, max_mtime=-1 if part else 0)
            packed = _pack(tar, os.path.join(folder, str(part)), compression)
            if packed is not None:
                yield packed


def _pack(tar: TarWriter, path: str, compression: str) -> Packed | None:
    plain, blob = hashlib.sha256(), hashlib.sha256()
    tar_size = size = 0
    squeeze = _squeezer(compression)
    with open(path, "xb") as stream:

        def write(data: bytes) -> None:
            nonlocal size
            stream.write(data)
            blob.update(data)
            size += len(data)

        while chunk := tar.read(CHUNK):
            data = bytes(chunk)
            plain.update(data)
            tar_size += len(data)
            write(squeeze.compress(data))
        write(squeeze.flush())
    if tar_size <= 1024:  # two blocks of zeros: an archive of nothing
        os.unlink(path)
        return None
    layer = Layer(
        diff_id=Digest("sha256", plain.hexdigest()),
        digest=Digest("sha256", blob.hexdigest()),
        media_type=_TYPES[compression],
        size=size,
        tar_size=tar_size,
    )
    return Packed(layer, path)


def _squeezer(compression: str) -> _Squeezer:
    """What compresses a stream; equal streams give equal bytes."""
    if compression == "gzip":
        from isal import isal_zlib

        gzip: _Squeezer = isal_zlib.compressobj(level=2, wbits=31)
        return gzip
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    return _Plain()


class _Squeezer(Protocol):
    def compress(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes: ...


class _Plain:
    @staticmethod
    def compress(data: bytes) -> bytes:
        return data

    @staticmethod
    def flush() -> bytes:
        return b""


def unpack_mount(source: ImageSource, mount: RemoteMount, fd: int) -> None:
    """Fill an empty folder with the packs of a mount; an `ImageError` if one is not what its digest says.

    What is in the folder then is not to be used.
    """
    for pack in mount.packs:
        what = f"pack {pack.digest.short} of the cache mount {mount.id[:80]}"
        blob, plain = hashlib.sha256(), hashlib.sha256()
        descriptor = Descriptor(pack.media_type, pack.digest, pack.size)

        def read(descriptor: Descriptor = descriptor, blob: hashlib._Hash = blob) -> Iterator[bytes]:
            for chunk in bounded(source.read(descriptor), descriptor):
                blob.update(chunk)
                yield chunk

        try:
            with Untar(fd, layer=False, max_bytes=_MOST_BYTES, max_entries=_MOST_ENTRIES) as untar:
                for data in decompress_bounded(read(), what=what):
                    plain.update(data)
                    untar.feed(data)
                untar.finish()
        except CoreError as error:
            raise ImageError(f"{what} cannot be unpacked: {error.message}") from None
        if blob.hexdigest() != pack.digest.hex or plain.hexdigest() != pack.diff_id.hex:
            raise ImageError(f"{what} has other bytes than its digest says")
