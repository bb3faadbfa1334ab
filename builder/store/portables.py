"""What states and keys of this store are called on other machines, remembered because it is found out by reading files."""

from __future__ import annotations

from builder.store.database import Database


class Portables:
    """Portable digests of states, and the portable form of keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def state(self, state: bytes) -> tuple[bytes, bytes] | None:
        """The portable digests (32 bytes) of a state and of its own changes, these empty for an image's; None if nobody
        asked yet.
        """
        row = self._database.one("SELECT digest, changes FROM portable_states WHERE state = ?", (state,))
        if row is None or not isinstance(row[0], bytes) or not isinstance(row[1], bytes) or len(row[0]) != 32:
            return None
        return row[0], row[1]

    def put_state(self, state: bytes, digest: bytes, changes: bytes) -> None:
        """Remember a state's portable digests."""
        self._database.run(
            "INSERT OR REPLACE INTO portable_states (state, digest, changes) VALUES (?,?,?)",
            (state, digest, changes),
        )

    def key(self, key: bytes) -> str | None:
        """The portable form of a local key, as `put_key` was given it."""
        row = self._database.one("SELECT portable FROM portable_keys WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    def put_key(self, key: bytes, portable: str) -> None:
        """Remember the portable form of a local key."""
        self._database.run(
            "INSERT OR REPLACE INTO portable_keys (key, portable) VALUES (?,?)", (key, portable)
        )
