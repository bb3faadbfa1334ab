"""The history of an image (OCI image spec, config.md, property `history`)."""

from __future__ import annotations

from collections.abc import Iterable

from builder.image.fields import Fields
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMENT = "buildkit.dockerfile.v0"
"""What build tools of this family write as comment; `docker history` and scanners recognise it."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One instruction of the past. `created` is RFC 3339 text; `empty_layer` means without a layer."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


def parse_history(items: Iterable[Fields]) -> tuple[HistoryEntry, ...]:
    """Read the `history` array of a config."""
    return tuple(
        HistoryEntry(
            item.text("created"),
            item.text("created_by"),
            item.text("author"),
            item.text("comment"),
            item.flag("empty_layer"),
        )
        for item in items
    )


def history_objects(entries: Iterable[HistoryEntry]) -> list[dict[str, Any]]:
    """The `history` array of a config; empty fields are left out."""
    found = []
    for entry in entries:
        item: dict[str, Any] = {
            "created": entry.created,
            "created_by": entry.created_by,
            "author": entry.author,
            "comment": entry.comment,
            "empty_layer": entry.empty_layer,
        }
        found.append({name: value for name, value in item.items() if value})
    return found


def align_history(entries: tuple[HistoryEntry, ...], layers: int) -> tuple[HistoryEntry, ...]:
    """Make the entries that claim a layer as many as there are `layers`.

    Tools pair the two lists by position, and old or hand-made images do not keep them equal: missing
    entries are added at the end, surplus claims are withdrawn from the end.
    """
    claimed = sum(not entry.empty_layer for entry in entries)
    if claimed < layers:
        return (*entries, *(HistoryEntry(comment=COMMENT) for _ in range(layers - claimed)))
    found = list(entries)
    for index in range(len(found) - 1, -1, -1):
        if claimed == layers:
            break
        entry = found[index]
        if not entry.empty_layer:
            found[index] = HistoryEntry(entry.created, entry.created_by, entry.author, entry.comment, True)
            claimed -= 1
    return tuple(found)
