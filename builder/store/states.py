"""States: file trees by identity, each a snapshot on top of a parent state."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from builder.errors import StoreError
from builder.store.database import Database
from builder.store.runs import Run
from builder.value import dataclass

SCRATCH = bytes(16)
_HEX = frozenset("0123456789abcdef")
_LONGEST_CHAIN = 500


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

    def __init__(self, database: Database, fd: int, boot: str) -> None:
        self._database = database
        self._fd = fd
        self._boot = boot
        self._known: dict[bytes, State] = {}

    def get(self, state: bytes) -> State | None:
        """A state that can be trusted and whose snapshot is there, None for any other."""
        if state in self._known:
            return self._known[state]
        row = self._database.one(
            "SELECT id, parent, snapshot, entries, size, created FROM states WHERE id = ? AND (durable OR boot = ?)",
            (state, self._boot),
        )
        if row is None or not isinstance(row[2], str) or not _is_name(row[2]):
            return self._promised(state)
        found = State(*row)
        if not _exists(self._fd, self.path(found)):
            if not self._database.reading:
                self._database.run("DELETE FROM states WHERE id = ?", (state,))
            return self._promised(state)
        self._known[state] = found
        return found

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

    def chain(self, state: bytes) -> tuple[State, ...]:
        """The states that a state is made of, the lowest first; none for the empty state."""
        found: list[State] = []
        while state != SCRATCH:
            now = self.get(state)
            if now is None or len(found) >= _LONGEST_CHAIN:
                raise StoreError(
                    f"the files of state {state.hex()[:12]} are not in the store any more",
                    hint="build again with --no-cache",
                )
            found.append(now)
            state = now.parent
        return tuple(reversed(found))

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
        existing = self.get(state)
        if existing is not None and existing.snapshot:
            return existing
        name = os.urandom(8).hex()
        os.mkdir(f"snapshots/{name}", 0o700, dir_fd=self._fd)
        os.rename(run.upper, f"snapshots/{name}/fs", src_dir_fd=self._fd, dst_dir_fd=self._fd)
        with suppress(FileNotFoundError):
            os.rename(run.facts, f"snapshots/{name}/facts", src_dir_fd=self._fd, dst_dir_fd=self._fd)
        created = time.time()
        changed = self._database.run(
            "INSERT INTO states (id, parent, snapshot, entries, size, created, boot, durable) VALUES (?,?,?,?,?,?,?,0) "
            "ON CONFLICT (id) DO UPDATE SET parent=excluded.parent, snapshot=excluded.snapshot, entries=excluded.entries, "
            "size=excluded.size, created=excluded.created, boot=excluded.boot, durable=0 "
            "WHERE NOT (states.durable OR states.boot = excluded.boot)",
            (state, parent, name, entries, size, created, self._boot),
        )
        if not changed:
            os.rename(f"snapshots/{name}/fs", run.upper, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            with suppress(FileNotFoundError):
                os.unlink(f"snapshots/{name}/facts", dir_fd=self._fd)
            os.rmdir(f"snapshots/{name}", dir_fd=self._fd)
            won = self.get(state)
            if won is not None and won.snapshot:
                return won
            raise StoreError(f"state {state.hex()[:12]} vanished while it was made")
        found = State(state, parent, name, entries, size, created)
        self._known[state] = found
        return found


def _is_name(text: str) -> bool:
    """Whether a snapshot may be called so: it becomes part of a path."""
    return 12 <= len(text) <= 32 and _HEX.issuperset(text)


def _exists(fd: int, path: str) -> bool:
    try:
        os.stat(path, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return False
    return True
