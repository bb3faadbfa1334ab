"""A store's size limit: how large the store is now, reckoned with little work, and room made where it is too large."""

from __future__ import annotations

from builder.core.usage import Usages
from builder.errors import CoreError
from builder.store.entries import folder_size
from builder.store.measuring import measure_caches, measure_snapshots
from builder.store.prune import Pruned, PrunePolicy, prune
from builder.store.sizes import Measured
from builder.store.store import Store

# A store that is too large shrinks to this part of its limit, so that not every step has to make room.
_AIM = 0.9
_FOLDERS = ("blobs", "indexes", "listings", "runs")
_DATABASE = ("pybuild.db", "pybuild.db-wal")


def footprint(store: Store) -> int:
    """Bytes of a whole store: of snapshots only those are measured that nobody has measured yet."""
    rows = store.database.all("SELECT snapshot FROM states")
    known = store.sizes.all()
    unknown = [str(row[0]) for row in rows if f"snapshots/{row[0]}" not in known]
    if len(unknown) > 1:
        fresh = sum(found[1] for found in measure_snapshots(store, [str(row[0]) for row in rows]).values())
    else:
        fresh = sum(known[name].fresh for row in rows if (name := f"snapshots/{row[0]}") in known)
        fresh += sum(_measure(store, snapshot) for snapshot in unknown)
    caches = sum(size for size, _ in measure_caches(store).values())
    rest = sum(folder_size(store.fd, name) for name in (*_FOLDERS, *_DATABASE))
    return fresh + caches + rest


def _measure(store: Store, snapshot: str) -> int:
    """A snapshot that was just made: what it shares with older ones is counted for those."""
    name = f"snapshots/{snapshot}"
    try:
        with Usages() as usages:
            usage = usages.add(store.fd, name.encode())
    except CoreError:  # it has just been removed
        return 0
    store.sizes.put([Measured(name, usage.bytes, usage.own, usage.own != usage.bytes)])
    return usage.own


def make_room(store: Store, limit: int) -> tuple[int, Pruned | None]:
    """Shrink a store that is larger than its limit; its size afterwards, and what went if anything had to."""
    size = footprint(store)
    if size <= limit:
        return size, None
    pruned = prune(store, PrunePolicy(store=int(limit * _AIM), all=True), sweep=False)
    return footprint(store), pruned
