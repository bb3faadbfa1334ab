"""Inline caches: the records of an image's own steps, in an annotation of its manifest. The image's id stays what it is."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping

from builder.cache.document import LARGEST
from builder.errors import ImageError

ANNOTATION = "io.pybuild.cache.records"
_LONGEST = 2 << 20  # registries refuse manifests above 4 MiB


def pack(document: bytes) -> str:
    """The document as the annotation holds it: zlib, base64. An `ImageError` if it is too long for a manifest."""
    text = base64.b64encode(zlib.compress(document, 9)).decode()
    if len(text) > _LONGEST:
        raise ImageError("the records are too many for a manifest", hint="use type=registry")
    return text


def unpack(annotations: Mapping[str, str]) -> bytes:
    """The document that the annotations of a manifest hold; an `ImageError` if they hold none."""
    text = annotations.get(ANNOTATION)
    if text is None:
        raise ImageError("it is an image that carries no records")
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b64decode(text, validate=True), LARGEST + 1)
    except (zlib.error, binascii.Error, ValueError):
        raise ImageError("its records cannot be unpacked") from None
    if len(data) > LARGEST or not stream.eof:
        raise ImageError(f"its records have more than {LARGEST >> 20} MiB, or are cut short")
    return data
