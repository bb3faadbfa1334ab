"""What the files at paths of states are called in keys, remembered because it is found out by reading them all."""

from __future__ import annotations

from builder.store.database import Database


class Contents:
    """Names of files of states, local and portable ones. A state never changes, so that neither do they."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, state: bytes, path: str, *, portable: bool) -> str | None:
        """What the files at a path of a state are called; None if nobody asked yet."""
        row = self._database.one(
            "SELECT name FROM contents WHERE state = ? AND path = ? AND portable = ?",
            (state, path, int(portable)),
        )
        return None if row is None else str(row[0])

    def put(self, state: bytes, path: str, name: str, *, portable: bool) -> None:
        """Remember it, unless the store is only looked at."""
        if not self._database.reading:
            self._database.run(
                "INSERT OR REPLACE INTO contents (state, path, portable, name) VALUES (?,?,?,?)",
                (state, path, int(portable), name),
            )
