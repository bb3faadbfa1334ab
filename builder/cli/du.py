"""`pybuild du`: what the store holds, how large it is, and what of it `prune` may remove."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from builder.cli import values
from builder.cli.command import ISOLATION, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.cli.table import since, table
from builder.report.text import human

if TYPE_CHECKING:
    from builder.store.survey import Item, Survey

_BY = ("kind", "image", "step")
_FORMATS = ("table", "json")
_SHORT = 12
_WIDTH = 60
KIND_NAMES = {
    "image": "images",
    "layer": "pulled layers",
    "step": "steps",
    "cache": "cache mounts",
    "download": "downloads",
    "index": "context indexes",
    "syntax": "parsed files",
}


def run(args: Arguments, around: Surroundings) -> int:
    """Look through the store and show it."""
    import builder
    from builder.store.filters import matches, parse_filters

    by = values.choice("--by", args.text("--by") or "kind", _BY)
    form = values.choice("--format", args.text("--format") or "table", _FORMATS)
    filters = parse_filters(args.texts("--filter"))
    seen = builder.du(store=around.store_path(args.text("--store")), userxattr=around.in_user_namespace())
    items = [item for item in seen.items if matches(item, filters, seen.now)]
    if form == "json":
        around.out.write(json.dumps(document(seen, items), indent=2) + "\n")
    elif args.switch("--verbose"):
        around.out.write(item_table(items, seen.now, whole=True) + "\n" + _sums(seen, items))
    elif by == "image":
        around.out.write(_image_table(seen))
    elif by == "step":
        steps = [item for item in items if item.kind in ("step", "layer")]
        around.out.write(item_table(steps, seen.now))
    else:
        around.out.write(_kind_table(seen, items, whole=not filters))
    return 0


def _kind_table(seen: Survey, items: Sequence[Item], *, whole: bool) -> str:
    rows = [("KIND", "COUNT", "SIZE", "RECLAIMABLE")]
    for kind, name in KIND_NAMES.items():
        found = [item for item in items if item.kind == kind]
        free = sum(item.counted for item in found if item.reclaimable)
        rows.append((name, str(len(found)), human(sum(item.counted for item in found)), human(free)))
    if whole:
        rows.append(("database", "", human(seen.database), ""))
        if seen.work:
            rows.append(("work", "", human(seen.work), ""))
        if seen.lost:
            rows.append(("unnamed files", "", human(seen.lost), human(seen.lost)))
        rows.append(("total", "", human(seen.total), human(seen.reclaimable)))
    return table(rows, right=frozenset({1, 2, 3}))


def item_table(items: Sequence[Item], now: float, *, whole: bool = False) -> str:
    """Items as lines, in their order; `whole` shows ids and names in full."""
    rows = [("ID", "KIND", "SIZE", "SHARED", "LAST USED", "KEPT BY", "NAME")]
    for item in items:
        kept = ", ".join(item.images) or ("in use" if item.in_use else "")
        name = item.name
        if not whole:
            kept, name = _cut(kept, _WIDTH // 2), _cut(name, _WIDTH)
        rows.append(
            (
                item.id if whole else item.id.removeprefix("sha256:")[:_SHORT],
                item.kind,
                human(item.size),
                human(item.shared) if item.shared else "",
                since(item.used, now) if item.used else "",
                kept,
                name,
            )
        )
    return table(rows, right=frozenset({2, 3}))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _sums(seen: Survey, items: Sequence[Item]) -> str:
    shared = sum(item.counted for item in items if item.images)
    private = sum(item.counted for item in items if not item.images)
    free = sum(item.counted for item in items if item.reclaimable)
    return table(
        [
            ("Shared:", human(shared), "images with names need it"),
            ("Private:", human(private), "cache"),
            ("Reclaimable:", human(free), "pybuild prune --all"),
            ("Total:", human(shared + private), f"of {human(seen.total)} in the store"),
        ],
        right=frozenset({1}),
    )


def _image_table(seen: Survey) -> str:
    rows = [("IMAGE ID", "SIZE", "OWN", "STORED", "NAME")]
    rows += [
        (
            image.id.removeprefix("sha256:")[:_SHORT],
            human(image.size),
            human(image.own),
            since(image.created, seen.now),
            ", ".join(image.names) or "<none>",
        )
        for image in sorted(seen.images, key=lambda image: -image.size)
    ]
    return table(rows, right=frozenset({1, 2}))


def document(seen: Survey, items: Sequence[Item]) -> dict[str, Any]:
    """The form of `--format json`; sizes are bytes, times RFC 3339."""
    return {
        "version": 1,
        "total": seen.total,
        "reclaimable": seen.reclaimable,
        "database": seen.database,
        "work": seen.work,
        "lost": seen.lost,
        "items": [item_document(item) for item in items],
        "images": [
            {
                "id": image.id,
                "names": list(image.names),
                "size": image.size,
                "own": image.own,
                "created": _moment(image.created),
                "items": list(image.states),
            }
            for image in seen.images
        ],
    }


def item_document(item: Item) -> dict[str, Any]:
    """One item of it."""
    return {
        "id": item.id,
        "kind": item.kind,
        "name": item.name,
        "size": item.size,
        "shared": item.shared,
        "counted": item.counted,
        "created": _moment(item.created),
        "last_used": _moment(item.used),
        "parent": item.parent or None,
        "images": list(item.images),
        "in_use": item.in_use,
        "reclaimable": item.reclaimable,
    }


def _moment(seconds: float) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds > 0 else None


COMMAND = Command(
    name="du",
    usage="",
    flags=(
        Flag("--by", "WHAT", "kind (default), image or step"),
        Flag("--verbose", "", "Every item, with its id, when it was last used, and who needs it", "-v"),
        Flag(
            "--filter",
            "FILTER",
            "Only such items: until=24h, type=step, inuse, description~=make, …",
            many=True,
        ),
        Flag("--format", "FORM", "table (default) or json"),
        ISOLATION,
        STORE,
    ),
    run=run,
    text="Sizes are what is allocated on the disk. Files that several snapshots share are counted once; SHARED says how much "
    "of an item they are. RECLAIMABLE is what no image with a name and no running build or container needs.",
    examples=(
        ("pybuild du --by image", "what each image takes, and what it takes alone"),
        ("pybuild du -v --filter type=cache", "cache mounts"),
    ),
    isolated=True,
)
