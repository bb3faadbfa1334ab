"""Sendings: what builds write to remote caches when their commands have ended, and what went wrong there."""

from __future__ import annotations

import time
from collections.abc import Iterable

from builder.store.database import Database
from builder.store.rows import number as as_number
from builder.store.rows import whole
from builder.value import dataclass

# How many are remembered.
_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Sending:
    """One: the build that it belongs to (0 until that is in the history) and the place that it goes to, as people call it.

    `begun` and `ended` are seconds since 1970, `ended` 0 as long as it goes on, or if it was killed; `failure` says why not all
    is there.
    """

    number: int
    build: int
    place: str
    begun: float
    ended: float
    failure: str


class Sendings:
    """All that a store remembers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, target: str, place: str) -> int:
        """One begins, to a target that `target` names exactly; its number."""
        number = self._database.insert(
            "INSERT INTO sendings (build, target, place, begun) VALUES (0,?,?,?)",
            (target, place, time.time()),
        )
        self._database.run("DELETE FROM sendings WHERE number <= ?", (number - _KEPT,))
        return number

    def belong(self, numbers: Iterable[int], build: int) -> None:
        """Some are those of a build of the history."""
        self._database.many(
            "UPDATE sendings SET build = ? WHERE number = ?", [(build, number) for number in numbers]
        )

    def is_newest(self, number: int) -> bool:
        """Whether none has begun since then that goes to the same target, and so will take its place."""
        return (
            self._database.one(
                "SELECT 1 FROM sendings WHERE number > ? AND target = (SELECT target FROM sendings WHERE number = ?)",
                (number, number),
            )
            is None
        )

    def reserve(self, target: str, place: str) -> int:
        """A number for an export that somebody waits for, later than all before; it is none of those that are remembered."""
        with self._database.transaction():
            number = self.begin(target, place)
            self.forget(number)
        return number

    def last_written(self, target: str) -> int:
        """The number of the latest export whose records came to a target, 0 if none has."""
        row = self._database.one("SELECT number FROM written_caches WHERE target = ?", (target,))
        return 0 if row is None else whole(row[0])

    def wrote(self, target: str, number: int) -> None:
        """The records of an export are at a target now; call it where nobody else writes there."""
        self._database.run(
            "INSERT OR REPLACE INTO written_caches (target, number) VALUES (?,?)", (target, number)
        )
        self._database.run("DELETE FROM written_caches WHERE number <= ?", (number - _KEPT,))

    def end(self, number: int, failure: str = "") -> None:
        """One has ended; `failure` says why not all is there."""
        self._database.run(
            "UPDATE sendings SET ended = ?, failure = ? WHERE number = ?", (time.time(), failure, number)
        )

    def forget(self, number: int) -> None:
        """One never began: it takes no other's place."""
        self._database.run("DELETE FROM sendings WHERE number = ?", (number,))

    def untold(self) -> list[Sending]:
        """Those that failed since this was last asked, by whichever process."""
        rows = self._database.all(
            "SELECT number, build, place, begun, ended, failure FROM sendings WHERE failure != '' AND NOT told"
        )
        return [_sending(row) for row in rows if self._is_first_to_tell(row[0])]

    def _is_first_to_tell(self, number: object) -> bool:
        return bool(
            self._database.run("UPDATE sendings SET told = 1 WHERE number = ? AND NOT told", (number,))
        )

    def of_build(self, build: int) -> list[Sending]:
        """Those of a build."""
        rows = self._database.all(
            "SELECT number, build, place, begun, ended, failure FROM sendings WHERE build = ? ORDER BY number",
            (build,),
        )
        return [_sending(row) for row in rows]


def _sending(row: tuple[object, ...]) -> Sending:
    number, build, place, begun, ended, failure = row
    return Sending(whole(number), whole(build), str(place), as_number(begun), as_number(ended), str(failure))
