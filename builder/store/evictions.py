"""Evictions: records that were pruned, kept so that a later build can say so, and compare with what the step once was."""

from __future__ import annotations

import time
from collections.abc import Iterable

from builder.store.database import Database

# Pruned records that are remembered, the newest.
KEPT = 20_000


class Evictions:
    """What was pruned, by key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, keys: Iterable[bytes], when: float | None = None) -> None:
        """Remember records that are about to be deleted; call it in the transaction that deletes them, before.

        Keys without a record count for nothing. `when` is seconds since 1970, now if it is not given.
        """
        moment = time.time() if when is None else when
        self._database.many(
            "INSERT OR REPLACE INTO evictions (key, state, slot, parts, created, seconds, size, listing, evicted) "
            "SELECT key, state, slot, parts, created, seconds, size, listing, ? FROM records WHERE key = ?",
            ((moment, key) for key in keys),
        )
        self._database.run(
            "DELETE FROM evictions WHERE evicted < "
            "(SELECT evicted FROM evictions ORDER BY evicted DESC LIMIT 1 OFFSET ?)",
            (KEPT - 1,),
        )

    def when(self, key: bytes) -> float | None:
        """When the record of a key was pruned, None if it was not. One that was made again since counts as pruned still."""
        row = self._database.one("SELECT evicted FROM evictions WHERE key = ?", (key,))
        return None if row is None else float(row[0])
