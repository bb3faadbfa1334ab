"""Listings on disk: what the sources of steps were. Those of one slot are in one folder, where they share what is alike.

A listing is a small file; its entries are in leaves beside it, each named by its fingerprint. Who writes one has a shared lock on
the folder, and leaves that no listing has any more are removed only under a lock that nobody else has.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from builder.core.tree import sweep_listings
from builder.errors import CoreError
from builder.store.entries import names
from builder.store.locks import alone, lock
from builder.store.store import Store

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_LEAF = ".leaf"


@contextmanager
def writing(file: str) -> Iterator[None]:
    """A listing is written here meanwhile: nobody removes the leaves that it finds."""
    folder = os.path.dirname(file)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    fd = os.open(folder, _FOLDER)
    try:
        lock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def names_in(listing: str) -> tuple[str, ...]:
    """The files that a record's `listing` names: one for a COPY, of a RUN one for each mount that shows files."""
    return tuple(name for name in listing.split(",") if name)


def unlink(store: Store, slot: str, listing: str) -> int:
    """Remove what a record that is gone had, but for what another of its slot has too, and leave the leaves to `sweep`; the bytes
    that came back.
    """
    query = "SELECT 1 FROM records WHERE slot = ? AND instr(listing, ?) LIMIT 1"
    return sum(
        _remove(store.listing_file(slot, name))
        for name in names_in(listing)
        if store.database.one(query, (slot, name)) is None
    )


def sweep(store: Store, slot: str) -> int:
    """Remove the leaves of a slot that none of its listings has; the bytes that came back, 0 while somebody writes one."""
    return _sweep(store, os.path.dirname(store.listing_file(slot, "")))


def drop_damaged(store: Store, error: CoreError) -> None:
    """Remove a leaf that turned out to be damaged, so that the next listing that needs it writes it anew."""
    folder = os.path.dirname(os.path.dirname(error.path))
    if error.path.endswith(_LEAF) and folder == os.path.join(store.path, "listings") and not store.reading:
        try:
            os.unlink(error.path)
        except OSError:  # it is missing, or its folder cannot be written to
            pass


def sweep_all(store: Store) -> int:
    """Remove what no record needs, while nobody else has the store open; the bytes that came back."""
    known: dict[str, set[str]] = {}
    for slot, name in store.database.all("SELECT DISTINCT slot, listing FROM records WHERE listing != ''"):
        folder = os.path.dirname(store.listing_file(str(slot), ""))
        known.setdefault(os.path.basename(folder), set()).update(names_in(str(name)))
    freed = 0
    for name in names(store.fd, "listings"):
        path = os.path.join(store.path, "listings", name)
        if not os.path.isdir(path) or os.path.islink(path):
            freed += _remove(path)
            continue
        for inner in os.listdir(path):
            if not inner.endswith(_LEAF) and inner not in known.get(name, ()):
                freed += _remove(os.path.join(path, inner))
        freed += _sweep(store, path)
        freed += _remove(path, os.rmdir)  # unless something is left in it
    return freed


def _sweep(store: Store, folder: str) -> int:
    try:
        fd = os.open(folder, _FOLDER)
    except OSError:
        return 0
    try:
        return sweep_listings(f"/proc/self/fd/{fd}", store.secret) if alone(fd) else 0
    except CoreError:  # what is left is found by the next one
        return 0
    finally:
        os.close(fd)


def _remove(path: str, remove: Callable[[str], None] = os.unlink) -> int:
    try:
        size = os.stat(path, follow_symlinks=False).st_blocks * 512
        remove(path)
    except OSError:
        return 0
    return size
