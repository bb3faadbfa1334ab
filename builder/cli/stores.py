"""Opening the store for a command, and tables on standard output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from builder.cli.options import become_root, store_path
from builder.store.store import Store, open_store


@contextmanager
def opened(options: Any, *, as_root: bool = False) -> Iterator[Store]:
    """The store that the options name; `as_root` for commands that unpack or run (they need other users' ids)."""
    userxattr = become_root() if as_root else False
    with open_store(store_path(options.store), userxattr=userxattr) as store:
        yield store
        store.flush()


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows in aligned columns, the first as the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("   ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def ago(seconds: float) -> str:
    """A time span as people say it."""
    for limit, unit in ((60, "second"), (3600, "minute"), (86400, "hour"), (1 << 60, "day")):
        if seconds < limit or unit == "day":
            number = int(seconds // {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[unit])
            return f"{number} {unit}{'' if number == 1 else 's'} ago"
    return ""
