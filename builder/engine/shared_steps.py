"""Steps as every machine has them: what is looked up in remote caches, and what they are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from builder.cache.document import LISTING
from builder.cache.key import Part
from builder.digest import parse_digest
from builder.errors import ImageError
from builder.image.manifest import Descriptor
from builder.store.records import Record
from builder.value import dataclass

# Writes a file; False if there is nothing to write.
ListNow = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key as every machine has it, with its parts (none where only the last key's are kept).

    `listing` is the blob that says what the sources of the step are, if it was made before.
    """

    key: str
    parts: tuple[Part, ...]
    listing: Descriptor | None = None


@dataclass(frozen=True, slots=True)
class DoneStep:
    """A step that this build came past: what it stood on, its record, and its keys as every machine has them.

    `list_now` writes a file that says what its sources are, and tells whether there is anything to say.
    """

    slot: str
    parent: bytes
    record: Record
    shared: tuple[SharedKey, ...]
    list_now: ListNow

    @property
    def takes_files(self) -> bool:
        """Whether files of a context may be among what it depends on."""
        return any(
            part.kind == "file" or (part.kind == "mount" and part.name.startswith(("bind ", "cache ")))
            for part in self.shared[-1].parts
        )


@dataclass(frozen=True, slots=True)
class RemoteHit:
    """A record that a remote cache had: as one of this store, the cache, who signed that (empty for nobody), and all keys that it
    is kept under there.
    """

    record: Record
    origin: str
    signer: str
    shared: tuple[SharedKey, ...]


def write_keys(shared: Sequence[SharedKey]) -> list[Any]:
    """Keys as JSON has them."""
    return [
        (item.key, [(part.kind, part.name, part.value) for part in item.parts], *_listing(item))
        for item in shared
    ]


def read_keys(value: Any) -> tuple[SharedKey, ...] | None:
    """What `write_keys` wrote; None if it is damaged."""
    try:
        return tuple(
            SharedKey(
                str(shared),
                tuple(Part(*map(str, fields)) for fields in parts),
                Descriptor(LISTING, parse_digest(listing[0]), int(listing[1])) if listing else None,
            )
            for shared, parts, *listing in value
        )
    except (ValueError, TypeError, IndexError, ImageError):
        return None


def keys_text(shared: Sequence[SharedKey]) -> str:
    """Keys as the store keeps them."""
    return json.dumps(write_keys(shared), separators=(",", ":"))


def keys_of(text: str) -> tuple[SharedKey, ...] | None:
    """What `keys_text` made; None if it is damaged."""
    try:
        return read_keys(json.loads(text))
    except ValueError:
        return None


def _listing(item: SharedKey) -> tuple[object, ...]:
    return () if item.listing is None else (str(item.listing.digest), item.listing.size)
