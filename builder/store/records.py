"""Records: what a key led to. They are trusted only as far as what they point to is there."""

from __future__ import annotations

import json

from builder.store.database import Database
from builder.store.rows import number, whole
from builder.value import dataclass

_COLUMNS = "key, state, slot, parts, created, seconds, size, listing"


@dataclass(frozen=True, slots=True)
class Record:
    """A step that was done: its key with its parts, and the state it led to.

    `slot` names the step across builds, to find earlier records of it; `seconds` is how long it took, `size` the bytes of
    file content in its layer, `listing` the files that say what its sources were, commas between them.
    """

    key: bytes
    state: bytes
    slot: str
    parts: tuple[tuple[str, str, str], ...]
    created: float
    seconds: float
    size: int
    listing: str = ""


class Records:
    """All records of a store.

    A record is seen by other builds at once, but until the store was flushed it counts only in the boot it was made in:
    what a power cut may have lost is then a miss.
    """

    def __init__(self, database: Database, boot: str) -> None:
        self._database = database
        self._boot = boot

    def get(self, key: bytes) -> Record | None:
        """The record of a key, None if there is none that can be trusted."""
        row = self._database.one(
            f"SELECT {_COLUMNS} FROM records WHERE key = ? AND (durable OR boot = ?)", (key, self._boot)
        )
        return None if row is None else _record(row)

    def is_empty(self) -> bool:
        """Whether there is none at all."""
        return self._database.one("SELECT 1 FROM records LIMIT 1") is None

    def find(self, key: bytes) -> Record | None:
        """What is known about a key: a record that a power cut may have spoilt or that was pruned counts too."""
        for table in ("records", "evictions"):
            row = self._database.one(f"SELECT {_COLUMNS} FROM {table} WHERE key = ?", (key,))
            if row is not None:
                return _record(row)
        return None

    def met(self, slot: str) -> list[Record]:
        """Records that other steps made, and that the steps of a slot found in the last build that had any of them."""
        columns = ", ".join(f"records.{name}" for name in _COLUMNS.split(", "))
        rows = self._database.all(
            f"SELECT DISTINCT {columns} FROM build_steps JOIN records ON records.key = build_steps.key WHERE build = "
            "(SELECT max((SELECT max(build) FROM build_steps WHERE text = id)) FROM step_texts WHERE slot = ?) "
            "AND text IN (SELECT id FROM step_texts WHERE slot = ?) AND records.slot <> ?",
            (slot, slot, slot),
        )
        return [record for record in map(_record, rows) if record is not None]

    def made(self, state: bytes) -> Record | None:
        """The newest record that led to a state, None if there is none."""
        row = self._database.one(
            f"SELECT {_COLUMNS} FROM records WHERE state = ? ORDER BY created DESC LIMIT 1", (state,)
        )
        return None if row is None else _record(row)

    def put(self, record: Record, *, signer: str | None = None) -> None:
        """Keep a record, in place of an earlier one of the same key.

        `signer` tells that it is not of this store: who signed the remote cache that it comes from, empty for nobody.
        """
        if signer is not None:  # before the record: nobody may take it for one of this store
            self._database.run(
                "INSERT OR REPLACE INTO borrowed (key, signer) VALUES (?,?)", (record.key, signer)
            )
        self._database.run(
            f"INSERT OR REPLACE INTO records ({_COLUMNS}, boot, durable) VALUES (?,?,?,?,?,?,?,?,?,0)",
            (
                record.key,
                record.state,
                record.slot,
                json.dumps(record.parts, separators=(",", ":")),
                record.created,
                record.seconds,
                record.size,
                record.listing,
                self._boot,
            ),
        )
        if signer is None:
            self._database.run("DELETE FROM borrowed WHERE key = ?", (record.key,))

    def signer(self, key: bytes) -> str | None:
        """Who signed the remote cache that the record of a key comes from, empty for nobody; None if it is of this store."""
        row = self._database.one("SELECT signer FROM borrowed WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    def drop_listing(self, slot: str, name: str) -> None:
        """Forget that records of a slot, pruned ones too, have a listing that is about to be removed."""
        for table in ("records", "evictions"):
            self._database.run(
                f"UPDATE {table} SET listing = '' WHERE slot = ? AND listing = ?", (slot, name)
            )

    def nearest(self, slot: str, limit: int, *, evicted: bool = False) -> list[Record]:
        """Records of the same step, the newest first; with `evicted` also those that were pruned, whose files are gone."""
        wanted = f"SELECT {_COLUMNS} FROM records WHERE slot = ?"
        values: list[object] = [slot]
        if evicted:
            wanted += f" UNION ALL SELECT {_COLUMNS} FROM evictions WHERE slot = ?"
            values *= 2
        rows = self._database.all(f"{wanted} ORDER BY created DESC LIMIT ?", (*values, limit))
        return [record for record in map(_record, rows) if record is not None]


def _record(row: tuple[object, ...]) -> Record | None:
    """A row as a record; None for one that nobody of this program wrote."""
    key, state, slot, parts_text, created, seconds, size, listing = row
    try:
        parts = tuple((str(kind), str(name), str(value)) for kind, name, value in json.loads(str(parts_text)))
    except (ValueError, TypeError):
        return None
    if not isinstance(key, bytes) or not isinstance(state, bytes) or len(state) != 16 or "/" in str(listing):
        return None
    return Record(key, state, str(slot), parts, number(created), number(seconds), whole(size), str(listing))
