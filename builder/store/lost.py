"""What killed processes left behind: files that no row names, rows that name nothing. Removed while nobody has the store open."""

from __future__ import annotations

import os
from collections.abc import Iterable

from builder.core.files import remove_tree
from builder.errors import CoreError
from builder.store.entries import folder_size, names
from builder.store.holds import take
from builder.store.listings import sweep_all
from builder.store.runs import sweep
from builder.store.states import SCRATCH
from builder.store.store import Store
from builder.store.survey import layer_digests

_HEX = frozenset("0123456789abcdef")
_STATES = "SELECT id FROM states UNION SELECT state FROM promises"


def sweep_lost(store: Store) -> int | None:
    """Remove all that is lost; the bytes that came back, or None if another process has the store open.

    A build that begins meanwhile waits for the moment that it takes to find what is lost.
    """
    if not store.holds.alone():
        return None
    try:
        _drop_rows(store)
        lost = [*_lost_snapshots(store), *_lost_files(store)]
        freed, moved = sweep_all(store), []
        for path, folder in lost:
            freed += folder_size(store.fd, path)
            if not folder:
                os.unlink(path, dir_fd=store.fd)
                continue
            moved.append(f"runs/{os.urandom(8).hex()}")
            os.rename(path, moved[-1], src_dir_fd=store.fd, dst_dir_fd=store.fd)
    finally:
        store.holds.together()
    for path in moved:
        try:
            remove_tree(store.fd, path.encode())
        except CoreError:  # the next build's sweep does it
            pass
    before = folder_size(store.fd, "runs")
    sweep(store.fd)
    return freed + max(0, before - folder_size(store.fd, "runs"))


def _drop_rows(store: Store) -> None:
    """Drop rows that name files which are not there any more, or that count for nothing since the machine's last start."""
    database = store.database
    known = set(names(store.fd, "snapshots"))
    gone = [row for row in database.all("SELECT id, snapshot FROM states") if str(row[1]) not in known]
    outputs = [row for row in database.all("SELECT path FROM outputs") if not os.path.lexists(str(row[0]))]
    # Layers with other times than their state's files have no row in `states` either.
    needed = _image_blobs(store)
    rows = database.all(f"SELECT DISTINCT digest FROM layers WHERE state NOT IN ({_STATES})")
    unneeded = [row for row in rows if row[0] not in needed]
    blobs = set(names(store.fd, "blobs/sha256"))
    rows = database.all("SELECT DISTINCT digest FROM pieces")
    cut_from = [row for row in rows if str(row[0]).removeprefix("sha256:") not in blobs]
    caches = set(names(store.fd, "caches"))
    no_folder = [(name,) for name in store.cache_ids() if name not in caches]
    with database.transaction():
        database.many("DELETE FROM pieces WHERE digest = ?", cut_from)
        database.many("DELETE FROM states WHERE id = ?", ((row[0],) for row in gone))
        database.run(f"DELETE FROM records WHERE state != ? AND state NOT IN ({_STATES})", (SCRATCH,))
        database.run("DELETE FROM records WHERE NOT durable AND boot != ?", (store.boot,))
        database.many(f"DELETE FROM layers WHERE digest = ? AND state NOT IN ({_STATES})", unneeded)
        database.run("DELETE FROM names WHERE manifest NOT IN (SELECT manifest FROM images)")
        database.run(
            "DELETE FROM sizes WHERE name LIKE 'snapshots/%' "
            "AND substr(name, 11) NOT IN (SELECT snapshot FROM states)"
        )
        database.run(f"DELETE FROM contents WHERE state NOT IN ({_STATES})")
        database.run("DELETE FROM portable_keys WHERE key NOT IN (SELECT key FROM records)")
        database.run("DELETE FROM blob_stats WHERE digest NOT IN (SELECT digest FROM layers)")
        database.many("DELETE FROM cache_mounts WHERE name = ?", no_folder)
        database.many("DELETE FROM outputs WHERE path = ?", outputs)


def _lost_snapshots(store: Store) -> list[tuple[str, bool]]:
    known = {str(row[0]) for row in store.database.all("SELECT snapshot FROM states")}
    found = []
    for name in names(store.fd, "snapshots"):
        path = f"snapshots/{name}"
        if name not in known and not _is_used(store.fd, path):
            found.append((path, True))
    return found


def _is_used(fd: int, path: str) -> bool:
    taken = take(fd, path, folder=True)
    if taken is not None and taken >= 0:
        os.close(taken)
    return taken is None


def _lost_files(store: Store) -> list[tuple[str, bool]]:
    caches = set(names(store.fd, "caches"))
    found = [
        *_beside(store, "blobs/sha256", _needed_blobs(store)),
        *(f"indexes/{name}" for name in names(store.fd, "indexes") if not set(name) <= _HEX),
        *(
            f"caches/{name}"
            for name in caches
            if name.endswith(".lock") and name.removesuffix(".lock") not in caches
        ),
        *(name for name in names(store.fd, ".") if name.startswith((".index.", ".")) and name != "."),
    ]
    return [(path, False) for path in found if not os.path.isdir(os.path.join(store.path, path))]


def _beside(store: Store, folder: str, known: set[str]) -> Iterable[str]:
    return (f"{folder}/{name}" for name in names(store.fd, folder) if name not in known)


def _image_blobs(store: Store) -> set[str]:
    needed: set[str] = set()
    for image in store.images.all():
        needed.update((str(image.manifest), str(image.config), *layer_digests(store, image)))
    return needed


def _needed_blobs(store: Store) -> set[str]:
    needed = _image_blobs(store)
    for table in ("layers", "downloads"):
        needed.update(str(row[0]) for row in store.database.all(f"SELECT digest FROM {table}"))
    return {digest.removeprefix("sha256:") for digest in needed}
