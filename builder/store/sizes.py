"""Sizes: what snapshots and caches take on the disk, remembered so that nobody has to count their files again."""

from __future__ import annotations

from collections.abc import Iterable

from builder.store.database import Database
from builder.store.rows import whole
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """A folder that was measured: all its bytes, and those that are counted for it and for nobody else.

    `linked` tells that it has files in common with other snapshots; `seen` is the time of what it was measured as, in
    nanoseconds, 0 for what never changes.
    """

    name: str
    bytes: int
    fresh: int
    linked: bool
    seen: int = 0


class Sizes:
    """All sizes that a store remembers, by the folders' paths in it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Measured]:
        """Everything that was measured."""
        rows = self._database.all("SELECT name, bytes, fresh, linked, seen FROM sizes")
        return {
            str(row[0]): Measured(str(row[0]), whole(row[1]), whole(row[2]), bool(row[3]), whole(row[4]))
            for row in rows
        }

    def put(self, found: Iterable[Measured]) -> None:
        """Remember measurements."""
        rows = [(one.name, one.bytes, one.fresh, one.linked, one.seen) for one in found]
        if rows:
            with self._database.transaction():
                self._database.many(
                    "INSERT OR REPLACE INTO sizes (name, bytes, fresh, linked, seen) VALUES (?,?,?,?,?)", rows
                )

    def linked(self, snapshot: str) -> None:
        """Take note that another snapshot has files of this one."""
        self._database.run("UPDATE sizes SET linked = 1 WHERE name = ?", (f"snapshots/{snapshot}",))

    def shrank(self, snapshot: str, size: int) -> None:
        """Take note that a file that was this snapshot's alone is gone."""
        self._database.run(
            "UPDATE sizes SET bytes = bytes - ?, fresh = fresh - ? WHERE name = ?",
            (size, size, f"snapshots/{snapshot}"),
        )

    def forget(self, name: str) -> None:
        """Forget a folder; what shared files with it is counted anew."""
        self._database.run(
            "DELETE FROM sizes WHERE name = ? OR (linked AND (SELECT linked FROM sizes WHERE name = ?))",
            (name, name),
        )
