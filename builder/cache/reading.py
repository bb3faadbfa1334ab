"""Reading the document of a remote cache: every byte of it is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.cache.document import LARGEST, RECORDS, Document, parse
from builder.cache.place import Place
from builder.digest import digest_of
from builder.errors import ImageError
from builder.image.manifest import Descriptor, Manifest
from builder.store.importing import bounded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def read_document(
    place: Place, manifest: Manifest, trusted: list[Ed25519PublicKey] | None, scope: str
) -> tuple[Document, str]:
    """What a manifest of a place stands for, and the name of the key that signed it, one of those that are trusted (None: that is
    not asked, and the name is empty). An `ImageError` for what is damaged, not signed, or of another scope.
    """
    annotations = dict(manifest.annotations)
    if manifest.config.media_type == RECORDS:
        data = read_small(place, manifest.config)
    else:
        from builder.cache.inline import unpack

        data = unpack(annotations)
    signer = ""
    if trusted is not None:
        from builder.cache.signing import check

        signer = check(data, annotations, trusted)
    document = parse(data)
    if document.scope != scope:
        raise ImageError(f'its records are those of the scope "{document.scope}"')
    return document, signer


def read_small(place: Place, descriptor: Descriptor) -> bytes:
    """A blob of a place as a whole, of at most as many bytes as a document may have."""
    if descriptor.size > LARGEST:
        raise ImageError(f"its records have more than {LARGEST >> 20} MiB")
    return read_blob(place, descriptor, "its records do")


def read_blob(place: Place, descriptor: Descriptor, what: str) -> bytes:
    """A blob of a place as a whole, which may be as long as its descriptor says."""
    data = b"".join(bounded(place.read(descriptor), descriptor))
    if digest_of(data) != descriptor.digest:
        raise ImageError(f"{what} not have the digest {descriptor.digest}")
    return data
