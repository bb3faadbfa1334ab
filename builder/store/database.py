"""The store's SQLite database: its schema, and one connection that threads share."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from builder.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any
else:
    # What the module is made of, without the dates and times that it brings along.
    try:
        import _sqlite3 as sqlite3
    except ImportError:
        import sqlite3

SCHEMA_VERSION = 14

_SCHEMA = """
CREATE TABLE IF NOT EXISTS states (
    id BLOB PRIMARY KEY, parent BLOB, snapshot TEXT, entries INTEGER, size INTEGER, created REAL,
    boot TEXT NOT NULL, durable INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    key BLOB PRIMARY KEY, state BLOB NOT NULL, slot TEXT NOT NULL, parts TEXT NOT NULL, created REAL NOT NULL,
    seconds REAL NOT NULL, size INTEGER NOT NULL, listing TEXT NOT NULL,
    boot TEXT NOT NULL, durable INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS records_by_slot ON records (slot, created);
CREATE TABLE IF NOT EXISTS layers (
    state BLOB NOT NULL, diff_id TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
    tar_size INTEGER NOT NULL, pulled INTEGER NOT NULL, PRIMARY KEY (state, digest)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS layers_by_digest ON layers (digest);
CREATE TABLE IF NOT EXISTS images (
    manifest TEXT PRIMARY KEY, config TEXT NOT NULL, state BLOB NOT NULL, platform TEXT NOT NULL, created REAL NOT NULL,
    size INTEGER NOT NULL, media_type TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (
    name TEXT NOT NULL, platform TEXT NOT NULL, manifest TEXT NOT NULL, PRIMARY KEY (name, platform)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parsed (digest TEXT PRIMARY KEY, tree TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS downloads (
    url BLOB PRIMARY KEY, digest TEXT NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS downloads_by_digest ON downloads (digest);
CREATE TABLE IF NOT EXISTS promises (
    state BLOB PRIMARY KEY, parent BLOB NOT NULL, entries INTEGER NOT NULL, size INTEGER NOT NULL,
    created REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS portable_states (
    state BLOB PRIMARY KEY, digest BLOB NOT NULL, changes BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS portable_keys (key BLOB PRIMARY KEY, portable TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (
    state BLOB NOT NULL, path TEXT NOT NULL, portable INTEGER NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (state, path, portable)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pieces (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, digest TEXT NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL,
    fingerprint BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cache_mounts (name TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outputs (path TEXT PRIMARY KEY, content TEXT NOT NULL, stat TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blob_stats (digest TEXT PRIMARY KEY, stat TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evictions (
    key BLOB PRIMARY KEY, state BLOB NOT NULL, slot TEXT NOT NULL, parts TEXT NOT NULL, created REAL NOT NULL,
    seconds REAL NOT NULL, size INTEGER NOT NULL, listing TEXT NOT NULL, evicted REAL NOT NULL);
CREATE INDEX IF NOT EXISTS evictions_by_slot ON evictions (slot, created);
CREATE INDEX IF NOT EXISTS evictions_by_time ON evictions (evicted);
CREATE TABLE IF NOT EXISTS builds (
    number INTEGER PRIMARY KEY AUTOINCREMENT, started REAL NOT NULL, seconds REAL NOT NULL, outcome TEXT NOT NULL,
    error TEXT NOT NULL, file TEXT NOT NULL, context TEXT NOT NULL, target TEXT NOT NULL, stages TEXT NOT NULL,
    platform TEXT NOT NULL, image TEXT NOT NULL, names TEXT NOT NULL, hits INTEGER NOT NULL, misses INTEGER NOT NULL,
    saved REAL NOT NULL, counters TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS step_texts (
    id INTEGER PRIMARY KEY, slot TEXT NOT NULL, title TEXT NOT NULL, stage TEXT NOT NULL, UNIQUE (slot, title, stage));
CREATE TABLE IF NOT EXISTS build_steps (
    build INTEGER NOT NULL, number INTEGER NOT NULL, text INTEGER NOT NULL, line INTEGER NOT NULL, outcome TEXT NOT NULL,
    started REAL NOT NULL, seconds REAL NOT NULL, saved REAL NOT NULL, size INTEGER NOT NULL, key BLOB NOT NULL,
    state BLOB NOT NULL, digest TEXT NOT NULL, same INTEGER NOT NULL, compared BLOB NOT NULL DEFAULT x'',
    reasons TEXT NOT NULL, error TEXT NOT NULL, PRIMARY KEY (build, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS build_steps_by_text ON build_steps (text, build);
CREATE TABLE IF NOT EXISTS details (id TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS build_details (build INTEGER PRIMARY KEY, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sizes (
    name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, fresh INTEGER NOT NULL, linked INTEGER NOT NULL,
    seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS borrowed (key BLOB PRIMARY KEY, signer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sendings (
    number INTEGER PRIMARY KEY AUTOINCREMENT, build INTEGER NOT NULL, target TEXT NOT NULL, place TEXT NOT NULL,
    begun REAL NOT NULL, ended REAL NOT NULL DEFAULT 0, failure TEXT NOT NULL DEFAULT '', told INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS sendings_by_build ON sendings (build);
CREATE TABLE IF NOT EXISTS written_caches (target TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_state ON records (state);
CREATE INDEX IF NOT EXISTS states_by_parent ON states (parent);
"""


# What running the schema again does not bring to tables that are there: statements by the version they make.
_CHANGES = {5: ("ALTER TABLE build_steps ADD COLUMN compared BLOB NOT NULL DEFAULT x''",)}


# SQLite makes room for what processes share in pieces of 32 kB.
_LEAST_ROOM = 256 << 10


class Database:
    """One connection behind a lock: statements are short, and what takes long happens outside."""

    def __init__(
        self,
        path: str,
        making: AbstractContextManager[None],
        *,
        reading: bool = False,
        aside: bool = False,
    ) -> None:
        """Open it; `making` is held while its tables are made. With `reading` every later change is refused, or, `aside`, made
        in a copy in memory.
        """
        self._path = path
        self.reading = reading
        self._lock = threading.RLock()
        try:
            self._connection = _connect(path)
            if aside:
                self._connection = _copied(self._connection)
            version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"the store was made by a newer version of pybuild (its form is {version}, "
                    f"this one knows {SCHEMA_VERSION})",
                    hint="use that version, or another store with --store",
                )
            if not reading:
                _keep_private(path)
            if version < SCHEMA_VERSION:
                with making:
                    self._create(shared=not aside)
            read_only = reading and not aside
            self._connection.execute("PRAGMA query_only=ON" if read_only else "PRAGMA synchronous=NORMAL")
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _create(self, *, shared: bool) -> None:
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version == SCHEMA_VERSION:
            return  # another process was first
        if shared and self._switch_to_wal() != "wal":
            raise StoreError(
                f"the store's database cannot be shared on this file system: {self._path}",
                hint="keep the store on a local disk: set PYBUILD_STORE",
            )
        changes = [
            f"{statement};"
            for number, statements in _CHANGES.items()
            if 4 <= version < number  # tables that an older version has not are made as they are now
            for statement in statements
        ]
        self._connection.executescript(
            f"BEGIN IMMEDIATE;{_SCHEMA}{''.join(changes)}PRAGMA user_version={SCHEMA_VERSION};COMMIT;"
        )

    def _switch_to_wal(self) -> str:
        """Let readers and a writer work at once. SQLite does not wait for others here, so that we do."""
        for wait in range(200):
            try:
                return str(self._connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or wait == 199:
                    raise
                time.sleep(0.02)
        return ""

    def _broken(self, error: sqlite3.Error) -> StoreError:
        text, name = str(error), str(getattr(error, "sqlite_errorname", ""))
        full = name == "SQLITE_FULL" or "full" in text
        if full or (name.startswith("SQLITE_IOERR") and self._is_full()):
            return StoreError(
                "no space is left for the store's database",
                hint="free some space, with pybuild prune for one",
            )
        if name.startswith("SQLITE_IOERR_SHM"):
            return StoreError(
                f"the store's database cannot be shared on this file system: {self._path}: {text}",
                hint="keep the store on a local disk: set PYBUILD_STORE or give --store",
            )
        if name.startswith("SQLITE_IOERR"):
            return StoreError(
                f"the store's database cannot be read or written: {self._path}: {text} ({name})",
                hint="see whether its disk is sound and may be written to",
            )
        if "locked" in text or name == "SQLITE_PROTOCOL":
            return StoreError(
                "another process holds the store's database for very long",
                hint="see what uses the store; if nothing does, its file system has no locks: keep it on a local disk",
            )
        if self._is_read_only():
            return StoreError(
                f"the store is on a file system that can only be read: {os.path.dirname(self._path)}",
                hint="choose another folder with --store or PYBUILD_STORE",
            )
        if "readonly" in text or "unable to open" in text:
            return StoreError(
                f"the store's database cannot be written: {self._path}",
                hint="see who owns the store",
            )
        return StoreError(
            f"the store's database is damaged: {self._path}: {text}",
            hint="pybuild doctor --mend sets it aside and brings the images back; the cache begins anew",
        )

    def _is_read_only(self) -> bool:
        try:
            return bool(os.statvfs(os.path.dirname(self._path)).f_flag & os.ST_RDONLY)
        except OSError:
            return False

    def _is_full(self) -> bool:
        """Whether the file system has less room than SQLite needs for anything at all."""
        try:
            seen = os.statvfs(os.path.dirname(self._path))
        except OSError:
            return False
        return seen.f_bavail * seen.f_frsize < _LEAST_ROOM

    def _execute(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except UnicodeEncodeError:
            return self._connection.execute(statement, _printable(values))

    def all(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        try:
            with self._lock:
                return self._execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def one(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, None if there is none."""
        try:
            with self._lock:
                row: tuple[Any, ...] | None = self._execute(statement, values).fetchone()
                return row
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Carry out one statement by itself; how many rows it changed."""
        try:
            with self._lock:
                return self._execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def insert(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Carry out one INSERT; the id that its row got."""
        try:
            with self._lock:
                return self._execute(statement, values).lastrowid or 0
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Carry out one statement for each row of values."""
        try:
            with self._lock:
                for values in rows:
                    self._execute(statement, values)
        except sqlite3.Error as error:
            raise self._broken(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several statements that count as one."""
        with self._lock:
            self.run("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.rollback()
                raise
            self.run("COMMIT")

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        with self._lock:
            self._connection.close()


def _keep_private(path: str) -> None:
    """What commands printed is in it: let only its owner read it, also where it was made without this."""
    for name in (path, f"{path}-wal", f"{path}-shm"):
        with suppress(OSError):
            found = os.stat(name)
            if found.st_mode & 0o077 and found.st_uid == os.geteuid():
                os.chmod(name, 0o600)


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=30, isolation_level=None, check_same_thread=False, cached_statements=64
    )


def _copied(source: sqlite3.Connection) -> sqlite3.Connection:
    """A copy in memory of all that a database has at one moment."""
    copy = _connect(":memory:")
    try:
        source.backup(copy)
    finally:
        source.close()
    return copy


def _printable(values: Sequence[Any]) -> list[Any]:
    r"""Values without the bytes of file names that are no UTF-8, which SQLite's texts cannot hold: they become `\xff`."""
    return [
        value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if isinstance(value, str)
        else value
        for value in values
    ]
