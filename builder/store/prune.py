"""Prune: remove what no image with a name needs, the longest unused first, as far as was asked for."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterable

from builder.core.usage import Usages
from builder.errors import CoreError, StoreError
from builder.store.evict import Evictor
from builder.store.filters import Filter, matches
from builder.store.lost import sweep_lost
from builder.store.store import Store
from builder.store.survey import Item, Survey, survey
from builder.value import dataclass

# Kinds that only speed builds up, and cost little; `all` removes them too.
_INTERNAL = frozenset({"index", "syntax"})
# A database with more free pages than these, and more than a quarter of all, is written anew.
_MOST_FREE_PAGES = 256
_TIMES = (("states", "created"), ("records", "created"), ("images", "created"), ("build_steps", "started"))
_CLOCK_SLACK = 60


@dataclass(frozen=True, slots=True)
class PrunePolicy:
    """What to remove.

    Only items that meet all `filters`; with `all` also indexes of contexts, parsed build files, and the records of steps whose
    files stay with an image. The numbers are bytes, 0 for none, with buildx's meanings: the cache may keep `most`, at
    least `reserved` of it stays, and `free` bytes are to be free on the file system. `store` bounds the whole store.
    With `dry_run` nothing is removed.
    """

    filters: tuple[Filter, ...] = ()
    all: bool = False
    most: int = 0
    reserved: int = 0
    free: int = 0
    store: int = 0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be: `freed` bytes came back, `total` are left, `busy` items were kept because somebody
    uses them. `records` were removed whose files stay; `lost` bytes are of files that nobody knew.
    """

    items: tuple[Item, ...]
    freed: int
    total: int
    busy: int
    records: int = 0
    lost: int = 0


def prune(
    store: Store,
    policy: PrunePolicy,
    *,
    on_item: Callable[[Item, int], None] | None = None,
    sweep: bool = True,
) -> Pruned:
    """Remove items by a policy while others may use the store; `on_item` gets each with the bytes it gave back.

    Without `sweep` files that nothing names stay, some of which a build of this process may be making.
    """
    _mend_times(store)
    seen = survey(store)
    room = _Room(store, policy, seen)
    chosen = _Queue(seen, policy)
    evictor = Evictor(store)
    removed, freed, busy = [], 0, 0
    while room.wants_more() and (item := chosen.next()) is not None:
        back: int | None = item.counted if policy.dry_run else evictor.evict(item)
        if back is None:
            busy += 1
            continue
        chosen.removed(item)
        removed.append(item)
        freed += back
        room.gave(item, back)
        if on_item is not None:
            on_item(item, back)
    if policy.dry_run:
        freed -= _still_linked(store, seen, removed)
        lost = 0 if policy.filters else seen.lost
        return Pruned(tuple(removed), freed + lost, seen.total - freed - lost, busy, lost=lost)
    if not sweep:
        return Pruned(tuple(removed), freed, max(0, seen.total - freed), busy)
    records = evictor.records(_kept_states(seen)) if policy.all and not policy.filters else 0
    lost = sweep_lost(store) or 0
    _shrink(store)
    left = max(0, seen.total - freed - lost)
    return Pruned(tuple(removed), freed + lost, left, busy, records, lost)


def may_remove(item: Item, policy: PrunePolicy, now: float) -> bool:
    """Whether a policy may remove an item at all."""
    if item.images or (item.kind in _INTERNAL and not policy.all and not _asks_for(policy.filters)):
        return False
    return matches(item, policy.filters, now)


def _asks_for(filters: Iterable[Filter]) -> bool:
    """Whether somebody names a kind that only `all` would remove."""
    return any(one.text.startswith(("type=", "id=", "id~=", "type~=")) for one in filters)


class _Room:
    """Says when enough is gone."""

    def __init__(self, store: Store, policy: PrunePolicy, seen: Survey) -> None:
        self._bounded = bool(policy.most or policy.reserved or policy.free)
        self._keep = _keep(store, policy, seen.cached)
        self._limit = policy.store
        self._cached, self._total = seen.cached, seen.total

    def wants_more(self) -> bool:
        if self._bounded and self._cached <= self._keep:
            return False
        return not self._limit or self._total > self._limit

    def gave(self, item: Item, back: int) -> None:
        self._cached -= max(back, item.counted)
        self._total -= back


def _keep(store: Store, policy: PrunePolicy, cached: int) -> int:
    """How many bytes of cache may stay, as BuildKit reckons it (calculateKeepBytes)."""
    keep = policy.most
    lacking = policy.free - _free_space(store) if policy.free else 0
    if lacking > 0:
        keep = min(keep, cached - lacking) if keep else cached - lacking
    elif policy.free and not policy.most:
        keep = cached
    return max(keep, policy.reserved)


def _free_space(store: Store) -> int:
    seen = os.fstatvfs(store.fd)
    return seen.f_bavail * seen.f_frsize


class _Queue:
    """Items that may go, the longest unused first; a state only after all that stands on it."""

    def __init__(self, seen: Survey, policy: PrunePolicy) -> None:
        self._above: dict[str, int] = {}
        for item in seen.items:
            if item.parent:
                self._above[item.parent] = self._above.get(item.parent, 0) + 1
        chosen = [
            item
            for item in seen.items
            if may_remove(item, policy, seen.now) and not (policy.dry_run and item.in_use)
        ]
        self._states = {item.id: item for item in chosen if item.kind in ("step", "layer")}
        self._heap = [
            (item.used, number, item)
            for number, item in enumerate(chosen)
            if item.kind not in ("step", "layer") or not self._above.get(item.id)
        ]
        self._count = len(chosen)
        heapq.heapify(self._heap)

    def next(self) -> Item | None:
        return heapq.heappop(self._heap)[2] if self._heap else None

    def removed(self, item: Item) -> None:
        """What stood below an item may be free now."""
        if not item.parent:
            return
        self._above[item.parent] -= 1
        below = self._states.get(item.parent)
        if below is not None and not self._above[item.parent]:
            self._count += 1
            heapq.heappush(self._heap, (below.used, self._count, below))


def _kept_states(seen: Survey) -> list[bytes]:
    return [bytes.fromhex(item.id) for item in seen.items if item.images and item.kind in ("step", "layer")]


def _still_linked(store: Store, seen: Survey, removed: list[Item]) -> int:
    """Bytes counted for items that would go, but which stay in files that others have too."""
    if not any(item.shared for item in removed):
        return 0
    gone = {item.id for item in removed}
    linked = [item for item in seen.items if item.shared]
    snapshots = dict(store.database.all("SELECT id, snapshot FROM states"))
    before = after = 0
    with Usages() as all_, Usages() as left:
        for item in linked:
            path = f"snapshots/{snapshots.get(bytes.fromhex(item.id))}".encode()
            try:
                fresh = all_.add(store.fd, path).fresh
                before += fresh if item.id in gone else 0
                after += 0 if item.id in gone else left.add(store.fd, path).fresh - fresh
            except CoreError:
                continue
    return max(0, min(after, before))


def _mend_times(store: Store) -> None:
    """Times that are yet to come (the clock was set back) become now, so that what has them grows old."""
    now = time.time()
    with store.database.transaction():
        for table, column in _TIMES:
            store.database.run(
                f"UPDATE {table} SET {column} = ? WHERE {column} > ?", (now, now + _CLOCK_SLACK)
            )


def _shrink(store: Store) -> None:
    """Give back the database's free pages, if they are many and nobody is in the way."""
    free, pages = (
        int((store.database.one(f"PRAGMA {name}") or (0,))[0]) for name in ("freelist_count", "page_count")
    )
    try:
        if free > _MOST_FREE_PAGES and free * 4 > pages:
            store.database.run("VACUUM")
        store.database.all("PRAGMA wal_checkpoint(TRUNCATE)")
    except StoreError:  # somebody reads
        pass
