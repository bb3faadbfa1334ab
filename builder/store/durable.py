"""Bringing to the disk what builds made, and then letting it count after a power cut too.

Until then it counts only in the boot that it was made in, in which nothing can be lost that a process has written.
"""

from __future__ import annotations

import os

from builder.core.files import sync_file_system
from builder.store import background
from builder.store.database import Database


def boot_id() -> str:
    """What names the machine's last start."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as stream:
            return stream.read().decode().strip()
    except OSError:
        return "unknown"


def pending(database: Database, boot: str) -> tuple[int, int]:
    """How many records and states were made in this boot and do not count after it, and how many files those states have."""
    found = database.one(
        "SELECT (SELECT count(*) FROM records WHERE boot = ? AND NOT durable) + count(*), coalesce(sum(entries), 0) "
        "FROM states WHERE boot = ? AND NOT durable",
        (boot, boot),
    )
    return (0, 0) if found is None else (int(found[0]), int(found[1]))


def make_durable(database: Database, fd: int, boot: str) -> None:
    """Bring a store's file system to the disk, and mark what is there since before. One sync for all, none for a file."""
    # What is made anew meanwhile has another snapshot, another time, other stat data: it is not meant.
    states = database.all("SELECT id, snapshot FROM states WHERE boot = ? AND NOT durable", (boot,))
    records = database.all("SELECT key, created FROM records WHERE boot = ? AND NOT durable", (boot,))
    mark = f" {boot}"
    proven = database.all("SELECT digest, stat FROM blob_stats WHERE substr(stat, ?) = ?", (-len(mark), mark))
    sync_file_system(fd)
    with database.transaction():
        database.many("UPDATE states SET durable = 1 WHERE id = ? AND snapshot = ?", states)
        database.many("UPDATE records SET durable = 1 WHERE key = ? AND created = ?", records)
        database.many(
            "UPDATE blob_stats SET stat = ? WHERE digest = ? AND stat = ?",
            [(str(seen).removesuffix(mark), digest, seen) for digest, seen in proven],
        )


def begin(path: str) -> bool:
    """Let a process of its own do that for the store at a path, so that nobody waits for the disk; whether it could be started.

    It has no terminal and no streams, holds no lock, and ends when it is done. If it is killed, or the disk fails, what was made
    counts in this boot only, and the next build that makes something tries again.
    """
    return background.start("builder.store.durable", "finish", os.path.abspath(path))


def finish(path: str) -> None:
    """What that process does."""
    from builder.errors import BuilderError
    from builder.store.locks import locked

    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if os.path.exists(name := os.path.join(path, "pybuild.db")):
            database = Database(name, locked(fd, "database"))
            make_durable(database, fd, boot_id())
            database.close()
    except (BuilderError, OSError):
        pass  # the store is gone, or its disk is full or broken: nothing is marked
