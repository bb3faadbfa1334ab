"""Folders of cache mounts on their way: parts, each of what is new since those before, so that only files
that changed move.

A part is one or several packs, each a blob: a deterministic tar, compressed; the first begins with what is to be removed. The
same files with the same times make the same packs on every machine.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Protocol

from builder.cache.document import RemoteMount
from builder.core.delta import Delta, Sum
from builder.core.tar import TarWriter, Untar
from builder.digest import Digest
from builder.errors import CoreError, ImageError
from builder.image.compression import CHUNK, decompress_bounded
from builder.image.manifest import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor
from builder.store.importing import ImageSource, bounded
from builder.store.layers import Layer
from builder.value import dataclass

_PACK = 4 << 20  # bytes of files that a pack is to have
_MOST_PACKS = 256
_MANY_PARTS = 16
# Bytes that a mount may always have for nothing.
_WASTE = 256 << 10
_MOST_BYTES = 256 << 30
_MOST_ENTRIES = 10_000_000
_TYPES = {"gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD, "uncompressed": OCI_LAYER}


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack and the file that it was written to."""

    layer: Layer
    path: str


def parts_to_keep(sums: Sequence[Sum]) -> int:
    """How many of the parts that are there stay as they are, by what it means to keep none, one, …: all, unless half of what they
    hold is of no use any more, or they are too many; then the last ones become one with what is new.
    """
    kept = len(sums) - 1
    many = kept >= _MANY_PARTS
    while kept:
        one = sums[kept]
        too_small = one.total - sums[kept - 1].total <= one.fresh
        if one.total <= 2 * one.live + _WASTE and kept < _MANY_PARTS and not (many and too_small):
            break
        kept -= 1
    return kept


def pack_part(delta: Delta, size: int, folder: str, *, compression: str) -> Iterator[Packed]:
    """Write the new part of a delta, of about so many bytes, to packs in a folder. A `CoreError` if files change meanwhile."""
    files = min(-(-size // _PACK), _MOST_PACKS)
    packs = files + 1 if files > 1 else 1  # a small one is in one pack
    delta.divide(packs)
    for pack in range(packs):
        with TarWriter.of_delta(delta, pack) as tar:
            packed = _pack(tar, os.path.join(folder, str(pack)), compression)
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
    left_bytes, left_entries = _MOST_BYTES, _MOST_ENTRIES
    for pack in mount.all_packs:
        what = f"pack {pack.digest.short} of the cache mount {mount.id[:80]}"
        blob, plain = hashlib.sha256(), hashlib.sha256()
        descriptor = Descriptor(pack.media_type, pack.digest, pack.size)

        def read(descriptor: Descriptor = descriptor, blob: hashlib._Hash = blob) -> Iterator[bytes]:
            for chunk in bounded(source.read(descriptor), descriptor):
                blob.update(chunk)
                yield chunk

        try:
            with Untar(
                fd, layer=False, removals=bool(mount.parts), max_bytes=left_bytes, max_entries=left_entries
            ) as untar:
                for data in decompress_bounded(read(), what=what):
                    plain.update(data)
                    untar.feed(data)
                found = untar.finish()
        except CoreError as error:
            raise ImageError(f"{what} cannot be unpacked: {error.message}") from None
        if blob.hexdigest() != pack.digest.hex or plain.hexdigest() != pack.diff_id.hex:
            raise ImageError(f"{what} has other bytes than its digest says")
        left_bytes, left_entries = left_bytes - found.bytes, left_entries - found.entries
        if left_bytes <= 0 or left_entries <= 0:
            raise ImageError(f"the cache mount {mount.id[:80]} has too many files")
