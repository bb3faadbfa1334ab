"""States: file trees by identity, each a snapshot on top of a parent state."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from builder.errors import StoreError
from builder.store.database import Database
from builder.store.holds import Holds, exists
from builder.store.rows import is_id, number, whole
from builder.store.runs import Run
from builder.value import dataclass

SCRATCH = bytes(16)
_HEX = frozenset("0123456789abcdef")
_LONGEST_CHAIN = 500
_TRIES = 5


@dataclass(frozen=True, slots=True)
class State:
    """A state that has a snapshot of its own; `size` is bytes of file content in it, `created` seconds since 1970.

    One that is only promised, its layer being known but not yet here, has an empty `snapshot`.
    """

    id: bytes
    parent: bytes
    snapshot: str
    entries: int
    size: int
    created: float


class States:
    """All states of a store and their snapshots, `snapshots/ID/fs` each."""

    def __init__(self, database: Database, fd: int, boot: str, holds: Holds) -> None:
        self._database = database
        self._fd = fd
        self._boot = boot
        self._holds = holds
        self._known: dict[bytes, State] = {}

    def get(self, state: bytes) -> State | None:
        """A state that can be trusted and whose snapshot is there, None for any other.

        Nobody removes it, or a state below it, while this store is open.
        """
        known = self._known.get(state)
        if known is not None:
            return known
        found = self._find(state)
        if found is None:
            return self._promised(state)
        if not self._holds.state(state, found.snapshot):
            if not self._database.reading:
                self._database.run(
                    "DELETE FROM states WHERE id = ? AND snapshot = ?", (state, found.snapshot)
                )
            return self._promised(state)
        self._holds.drop(found.parent)
        self._known[state] = found
        return found

    def _find(self, state: bytes) -> State | None:
        row = self._database.one(
            "SELECT id, parent, snapshot, entries, size, created FROM states WHERE id = ? AND (durable OR boot = ?)",
            (state, self._boot),
        )
        if row is None or not isinstance(row[2], str) or not _is_name(row[2]) or not is_id(row[1]):
            return None
        return State(state, row[1], row[2], whole(row[3]), whole(row[4]), number(row[5]))

    def _below(self, state: bytes) -> State | None:
        """A state below one that is held, which keeps it."""
        known = self._known.get(state)
        if known is None:
            known = self._find(state)
            if known is None or not exists(self._fd, self.path(known)):
                return self._promised(state)
            self._known[state] = known
        return known

    def _promised(self, state: bytes) -> State | None:
        row = self._database.one(
            "SELECT state, parent, '', entries, size, created FROM promises WHERE state = ?", (state,)
        )
        return None if row is None else State(*row)

    def promise(self, state: bytes, parent: bytes, *, entries: int, size: int) -> None:
        """Remember a state whose layer (see `Layers`) can be had elsewhere; nothing of it is here yet."""
        self._database.run(
            "INSERT OR REPLACE INTO promises (state, parent, entries, size, created) VALUES (?,?,?,?,?)",
            (state, parent, entries, size, time.time()),
        )

    @staticmethod
    def path(state: State) -> str:
        """Where a state's own files are, relative to the store."""
        return f"snapshots/{state.snapshot}/fs"

    @staticmethod
    def facts_path(state: State) -> str:
        """Where the hashes of a state's own files may be, relative to the store."""
        return f"snapshots/{state.snapshot}/facts"

    def drop_facts(self, older: bytes, newer: bytes) -> tuple[str, int]:
        """Let the hashes of a state's files go where those of a newer one, which has nearly all of them, are there: the snapshot
        that they belonged to, and the bytes that came back. Whoever wants them after all reads the files.
        """
        before, now = self._known.get(older), self._known.get(newer)
        if before is None or now is None or older == newer or not exists(self._fd, self.facts_path(now)):
            return "", 0
        path = self.facts_path(before)
        try:
            size = os.stat(path, dir_fd=self._fd, follow_symlinks=False).st_blocks * 512
            os.unlink(path, dir_fd=self._fd)
        except FileNotFoundError:
            return "", 0
        return before.snapshot, size

    def chain(self, state: bytes) -> tuple[State, ...]:
        """The states that a state is made of, the lowest first; none for the empty state."""
        found: list[State] = []
        while state != SCRATCH:
            # A state whose files are elsewhere keeps nothing.
            now = self._below(state) if found and found[-1].snapshot else self.get(state)
            if now is None or len(found) >= _LONGEST_CHAIN:
                raise StoreError(
                    f"the files of state {state.hex()[:12]} are not in the store any more",
                    hint="build again with --no-cache",
                )
            found.append(now)
            state = now.parent
        return tuple(reversed(found))

    def forget(self, state: bytes) -> None:
        """Drop a state whose files are damaged: what leads to it is a miss. The files go with the next `prune`."""
        self._database.run("DELETE FROM states WHERE id = ?", (state,))
        self._database.run(
            "DELETE FROM contents WHERE state = ?", (state,)
        )  # they may be those of the damaged files
        self._known.pop(state, None)
        self._holds.drop(state)

    def ancestors(self, state: bytes) -> frozenset[bytes]:
        """A state and all that it stands on, as far as that is known, whether their files are there or not."""
        rows = self._database.all(
            "WITH RECURSIVE below (id) AS (SELECT ? UNION SELECT parent FROM states JOIN below USING (id)) "
            "SELECT id FROM below",
            (state,),
        )
        return frozenset(bytes(row[0]) for row in rows if row[0] is not None)

    def adopt(self, run: Run, state: bytes, parent: bytes, *, entries: int, size: int) -> State:
        """Make the upper directory of a run the snapshot of a state.

        If another build made the same state meanwhile, its snapshot stays and this one goes with the run.
        """
        for _ in range(_TRIES):
            existing = self.get(state)
            if existing is not None and existing.snapshot:
                return existing
            found = self._insert(run, State(state, parent, os.urandom(8).hex(), entries, size, time.time()))
            if found is not None:
                return found
        raise StoreError(f"state {state.hex()[:12]} vanished while it was made")

    def _insert(self, run: Run, made: State) -> State | None:
        """Move the files to their place and make the row; None if another build was first."""
        folder = f"snapshots/{made.snapshot}"
        os.mkdir(folder, 0o700, dir_fd=self._fd)
        os.rename(run.upper, f"{folder}/fs", src_dir_fd=self._fd, dst_dir_fd=self._fd)
        with suppress(FileNotFoundError):
            os.rename(run.facts, f"{folder}/facts", src_dir_fd=self._fd, dst_dir_fd=self._fd)
        self._holds.state(made.id, made.snapshot)
        changed = 0
        try:
            changed = self._database.run(
                "INSERT INTO states (id, parent, snapshot, entries, size, created, boot, durable) VALUES (?,?,?,?,?,?,?,0) "
                "ON CONFLICT (id) DO UPDATE SET parent=excluded.parent, snapshot=excluded.snapshot, "
                "entries=excluded.entries, size=excluded.size, created=excluded.created, boot=excluded.boot, durable=0 "
                "WHERE NOT (states.durable OR states.boot = excluded.boot)",
                (made.id, made.parent, made.snapshot, made.entries, made.size, made.created, self._boot),
            )
        finally:
            if not changed:
                self._holds.drop(made.id)
                os.rename(f"{folder}/fs", run.upper, src_dir_fd=self._fd, dst_dir_fd=self._fd)
                with suppress(FileNotFoundError):
                    os.rename(f"{folder}/facts", run.facts, src_dir_fd=self._fd, dst_dir_fd=self._fd)
                os.rmdir(folder, dir_fd=self._fd)
        if not changed:
            return None
        self._holds.drop(made.parent)
        self._known[made.id] = made
        return made


def _is_name(text: str) -> bool:
    """Whether a snapshot may be called so: it becomes part of a path."""
    return 12 <= len(text) <= 32 and _HEX.issuperset(text)
