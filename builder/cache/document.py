"""The document of a remote cache: the records of steps, by keys that mean the same on every machine.

What is read may be hostile: every field is checked, and bounded by what a step can be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from builder.cache.key import Part
from builder.digest import parse_digest
from builder.errors import ImageError
from builder.image.fields import load_object
from builder.image.manifest import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor
from builder.store.layers import Layer
from builder.value import dataclass

RECORDS = "application/vnd.pybuild.cache.records.v1+json"
"""The media type of the document."""
LARGEST = 16 << 20
"""Bytes that it may have."""
LISTING = "application/vnd.pybuild.cache.listing.v1"
"""The media type of a listing: what the sources of a COPY were, to name the files that changed since."""
PART = "application/vnd.pybuild.cache.mount.v1"
"""The media type of a listing of a part of a cache mount."""
LARGEST_LISTING = 128 << 20
"""Bytes that one may have, of some three million files; what is larger does not travel."""

MOST_PARTS = 64
"""Parts that a cache mount may have."""

_VERSION = 1
_MOST_PACKS = 1000
_MOST_RECORDS = 100_000
_MOST_PARTS = 10_000
_LONGEST_SLOT = 4096
_MOST_KEYS = 4
_LATEST = float(1 << 33)  # seconds since 1970, in the year 2242
_MOST_BYTES = 1 << 60
_LAYER_TYPES = frozenset({OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD})


@dataclass(frozen=True, slots=True)
class RemoteRecord:
    """A step that was done somewhere.

    `keys` are hexadecimal portable keys, `parts` those of the last; `slot` names the step across builds. `changes` is the
    portable digest of what the step changed and `layer` holds it, both None if that is nothing. `created` and `seconds` are
    when it was done and how long it took, `entries` and `size` how many changes and bytes of file content its layer has.
    `listing` is the blob that says what its sources were, if there is one.
    """

    keys: tuple[str, ...]
    slot: str
    parts: tuple[Part, ...]
    created: float
    seconds: float
    entries: int
    size: int
    changes: bytes | None
    layer: Layer | None
    listing: Descriptor | None = None


@dataclass(frozen=True, slots=True)
class MountPart:
    """What the folder of a cache mount has new since the parts before: packs, tars of which the first removes what was gone, and
    the listing that says what they hold.
    """

    listing: Descriptor
    packs: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class RemoteMount:
    """The folder of a cache mount: its name in every store, the id that people know it by, and its parts in their order.
    `packs` are those of one as earlier versions wrote it: all of it, without listings.
    """

    name: str
    id: str
    packs: tuple[Layer, ...] = ()
    parts: tuple[MountPart, ...] = ()

    @property
    def all_packs(self) -> tuple[Layer, ...]:
        """All tars that make the folder, in their order."""
        return (*self.packs, *(pack for part in self.parts for pack in part.packs))

    @property
    def blobs(self) -> tuple[Layer | Descriptor, ...]:
        """All that has to be there for it."""
        return (*self.all_packs, *(part.listing for part in self.parts))


@dataclass(frozen=True, slots=True)
class Document:
    """All that one remote cache holds."""

    scope: str
    records: tuple[RemoteRecord, ...]
    mounts: tuple[RemoteMount, ...] = ()


def portable_key(parts: Iterable[Part]) -> str:
    """The hexadecimal SHA-256 of parts, each text with its length in front."""
    encoded = hashlib.sha256(b"pybuild key 1\n")
    for part in parts:
        for text in (part.kind, part.name, part.value):
            data = text.encode("utf-8", "surrogateescape")
            encoded.update(len(data).to_bytes(8, "little") + data)
    return encoded.hexdigest()


def render(document: Document) -> bytes:
    """The document as JSON: the same records give the same bytes, in whichever order they were made."""
    records = sorted(document.records, key=lambda record: (record.slot, record.keys))
    value = {
        "version": _VERSION,
        "scope": document.scope,
        "records": [_record_object(record) for record in records],
        "mounts": [_mount_object(mount) for mount in sorted(document.mounts, key=lambda mount: mount.name)],
    }
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def parse(data: bytes) -> Document:
    """Read a document; an `ImageError` says what is wrong with it."""
    if len(data) > LARGEST:
        raise ImageError(f"its records have more than {LARGEST >> 20} MiB")
    value = load_object(data, "the document of records")
    if value.get("version") != _VERSION:
        raise ImageError(
            f"its records have the form {str(value.get('version'))[:20]}, this version reads {_VERSION}"
        )
    try:
        records = tuple(_record(item) for item in _list(value, "records", _MOST_RECORDS))
        mounts = tuple(_mount(item) for item in _list(value, "mounts", 1000))
        return Document(_text(value, "scope", 128), records, mounts)
    except (KeyError, TypeError, ValueError, UnicodeError) as error:
        raise ImageError(f"its records are damaged: {type(error).__name__} {str(error)[:80]}") from None


def _record_object(record: RemoteRecord) -> dict[str, Any]:
    return {
        "keys": list(record.keys),
        "slot": record.slot,
        "parts": [[_safe(text) for text in (part.kind, part.name, part.value)] for part in record.parts],
        "created": round(record.created, 3),
        "seconds": round(record.seconds, 3),
        "entries": record.entries,
        "size": record.size,
        "changes": None if record.changes is None else record.changes.hex(),
        "layer": None if record.layer is None else _layer_object(record.layer),
        **({} if record.listing is None else {"listing": _listing_object(record.listing)}),
    }


def _listing_object(listing: Descriptor) -> dict[str, Any]:
    return {"digest": str(listing.digest), "size": listing.size}


def _mount_object(mount: RemoteMount) -> dict[str, Any]:
    return {
        "name": mount.name,
        "id": mount.id,
        "packs": [_layer_object(pack) for pack in mount.packs],
        **({"parts": [_part_object(part) for part in mount.parts]} if mount.parts else {}),
    }


def _part_object(part: MountPart) -> dict[str, Any]:
    return {
        "listing": _listing_object(part.listing),
        "packs": [_layer_object(pack) for pack in part.packs],
    }


def _layer_object(layer: Layer) -> dict[str, Any]:
    return {
        "diff_id": str(layer.diff_id),
        "digest": str(layer.digest),
        "mediaType": layer.media_type,
        "size": layer.size,
        "tar_size": layer.tar_size,
    }


def _safe(text: str) -> str:
    """Text that UTF-8 can write: names of files may be any bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _list(value: Mapping[str, Any], name: str, most: int) -> list[Any]:
    items = value.get(name)
    if items is None:
        return []
    if not isinstance(items, list) or len(items) > most:
        raise ValueError(name)
    return items


def _text(value: Mapping[str, Any], name: str, longest: int) -> str:
    text = value[name]
    if not isinstance(text, str) or len(text) > longest:
        raise ValueError(name)
    return text


def _number(value: Mapping[str, Any], name: str, most: float) -> float:
    number = value[name]
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= most:
        raise ValueError(name)
    return float(number)


def _whole(value: Mapping[str, Any], name: str) -> int:
    number = value[name]
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _MOST_BYTES:
        raise ValueError(name)
    return number


def _hex(text: object, size: int = 32) -> bytes:
    if not isinstance(text, str) or len(text) != 2 * size or not set(text) <= set("0123456789abcdef"):
        raise ValueError("digest")
    return bytes.fromhex(text)


def _part(item: object) -> Part:
    if not isinstance(item, list) or len(item) != 3 or not all(isinstance(text, str) for text in item):
        raise ValueError("parts")
    return Part(*item)


def _layer(item: object) -> Layer:
    if not isinstance(item, dict):
        raise ValueError("layer")
    media_type = _text(item, "mediaType", 128)
    digest = parse_digest(_text(item, "digest", 140))
    if media_type not in _LAYER_TYPES or digest.algorithm != "sha256":
        raise ValueError("mediaType")
    return Layer(
        diff_id=parse_digest(_text(item, "diff_id", 140)),
        digest=digest,
        media_type=media_type,
        size=_whole(item, "size"),
        tar_size=_whole(item, "tar_size"),
        pulled=True,
    )


def _record(item: object) -> RemoteRecord:
    if not isinstance(item, dict):
        raise ValueError("records")
    keys = _list(item, "keys", _MOST_KEYS)
    layer, changes = item["layer"], item["changes"]
    if (layer is None) != (changes is None) or not keys:
        raise ValueError("layer")
    return RemoteRecord(
        keys=tuple(_hex(key).hex() for key in keys),
        slot=_text(item, "slot", _LONGEST_SLOT),
        parts=tuple(_part(part) for part in _list(item, "parts", _MOST_PARTS)),
        created=_number(item, "created", _LATEST),
        seconds=_number(item, "seconds", _LATEST),
        entries=_whole(item, "entries"),
        size=_whole(item, "size"),
        changes=None if changes is None else _hex(changes),
        layer=None if layer is None else _layer(layer),
        listing=None if item.get("listing") is None else _listing(item["listing"]),
    )


def _listing(item: object, media_type: str = LISTING) -> Descriptor:
    if not isinstance(item, dict):
        raise ValueError("listing")
    digest, size = parse_digest(_text(item, "digest", 140)), _whole(item, "size")
    if digest.algorithm != "sha256" or size > LARGEST_LISTING:
        raise ValueError("listing")
    return Descriptor(media_type, digest, size)


def _mount(item: object) -> RemoteMount:
    if not isinstance(item, dict):
        raise ValueError("mounts")
    name = _text(item, "name", 64)
    _hex(name, 16)
    return RemoteMount(
        name=name,
        id=_text(item, "id", 1024),
        packs=tuple(_layer(pack) for pack in _list(item, "packs", _MOST_PACKS)),
        parts=tuple(_mount_part(part) for part in _list(item, "parts", MOST_PARTS)),
    )


def _mount_part(item: object) -> MountPart:
    if not isinstance(item, dict):
        raise ValueError("parts")
    return MountPart(
        _listing(item["listing"], PART), tuple(_layer(pack) for pack in _list(item, "packs", _MOST_PACKS))
    )
