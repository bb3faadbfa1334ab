"""How large snapshots and caches are. What was measured is remembered, so that nothing is read twice without need."""

from __future__ import annotations

from collections.abc import Iterable

from builder.core.usage import Usages
from builder.errors import BuilderError, CoreError
from builder.store.entries import folder_size, in_use, names, time_ns
from builder.store.sizes import Measured
from builder.store.store import Store


def measure_snapshots(store: Store, snapshots: Iterable[str]) -> dict[str, tuple[int, int, int]]:
    """Bytes of snapshots: all, those that are counted for it alone, and those of files that it has for itself."""
    known = store.sizes.all()
    found: dict[str, tuple[int, int, int]] = {}
    unknown = []
    for snapshot in snapshots:
        seen = known.get(f"snapshots/{snapshot}")
        if seen is None or seen.linked:
            unknown.append(snapshot)
        else:
            found[snapshot] = (seen.bytes, seen.bytes, seen.bytes)
    new = []
    with Usages() as usages:
        for snapshot in unknown:
            name = f"snapshots/{snapshot}"
            try:
                usage = usages.add(store.fd, name.encode())
            except CoreError:  # it is being removed
                continue
            found[snapshot] = (usage.bytes, usage.fresh, usage.own)
            new.append(Measured(name, usage.bytes, usage.fresh, usage.own != usage.bytes))
    _remember(store, [one for one in new if known.get(one.name) != one])
    return found


def measure_caches(store: Store) -> dict[str, tuple[int, float]]:
    """Bytes of each cache and when it was last used; one that was not used since it was measured is not read again."""
    known = store.sizes.all()
    found: dict[str, tuple[int, float]] = {}
    new = []
    for name in names(store.fd, "caches"):
        path = f"caches/{name}"
        if name.endswith(".lock"):
            continue
        used = time_ns(store.fd, f"{path}.lock")
        seen = known.get(path)
        if seen is None or seen.seen != used or in_use(store.fd, path, folder=True):
            seen = Measured(path, folder_size(store.fd, path), 0, False, used)
            new.append(seen)
        found[name] = (seen.bytes, used / 1e9)
    _remember(store, new)
    return found


def _remember(store: Store, found: list[Measured]) -> None:
    try:
        store.sizes.put(found)
    except BuilderError:  # a store that can only be read, or no space: it is measured again next time
        pass
