"""Settings that are kept in a store, for all who use it."""

from __future__ import annotations

from builder.store.database import Database

_LIMIT = "limit"


def get_limit(database: Database) -> int:
    """Bytes that builds keep the store below; 0 for no limit."""
    row = database.one("SELECT value FROM settings WHERE name = ?", (_LIMIT,))
    text = "" if row is None else str(row[0])
    return int(text) if text.isascii() and text.isdigit() else 0


def set_limit(database: Database, limit: int) -> None:
    """Set the limit, 0 for none."""
    database.run("INSERT OR REPLACE INTO settings (name, value) VALUES (?,?)", (_LIMIT, str(limit)))
