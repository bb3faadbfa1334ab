"""Why a step or a base is not what it was: its record's parts against those of the nearest earlier one, and what stands above."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from builder.cache.explain import because, explain
from builder.cache.key import Part
from builder.core.tree import listing_diff
from builder.engine.control import day
from builder.engine.recording import context_name
from builder.engine.session import Parts, Session
from builder.errors import CoreError
from builder.events import Reason
from builder.store.history import BuildStep
from builder.store.records import Record
from builder.store.store import Store
from builder.value import dataclass

# File names that an explanation lists; the rest is counted.
_LISTED = 20
# Earlier records that an explanation compares with.
_COMPARED = 128
# Earlier bases that one is compared with.
_BASES = 8


@dataclass(frozen=True, slots=True)
class Above:
    """A step or base that others stand on: its number in this build, its title, the state it led to, and whether that is
    another than before.
    """

    step: int
    title: str
    state: bytes
    changed: bool


def last_changed(above: Sequence[Above]) -> Above | None:
    """The nearest of the steps that something stands on whose result is another than before."""
    return next((one for one in reversed(above) if one.changed), None)


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a step missed, and the earlier record that it was compared with, None if there is none."""

    reasons: tuple[Reason, ...]
    compared: Record | None = None


def why_missed(
    session: Session,
    slot: str,
    title: str,
    parts: Sequence[Part],
    keys: Sequence[bytes],
    *,
    above: Sequence[Above],
    sources: Mapping[str, Above],
    listing: str = "",
) -> Miss:
    """Why there is no record for `parts`.

    `above` is what the step stands on, the lowest first; `sources` are, by their states, the stages and images that it takes
    files from. `listing` is the file that says what its sources are now, empty if there is none.
    """
    store = session.store
    gone = next((when for key in keys if (when := store.evictions.when(key)) is not None), None)
    closest = nearest_record(session, slot, title, parts)
    if gone is not None:
        return Miss((Reason("evicted", "", f"evicted by prune on {day(gone)}"),), closest)
    if closest is None:
        return Miss(explain(parts, None))
    parent = _parent_reason(session, closest, above)
    reasons = explain(
        parts,
        tuple(Part(*fields) for fields in closest.parts),
        parent=parent,
        changed_files=lambda: _changed_files(store, closest, listing),
        sources={state: because(one.step, one.title) for state, one in sources.items() if one.changed},
    )
    return Miss(reasons, closest)


def nearest_record(
    session: Session, slot: str, title: str, parts: Sequence[Part], *, without: str = ""
) -> Record | None:
    """The record of an earlier build that shares most with some parts, of equals the one that has most parts of the same
    names, and of these the newest; pruned ones among them.

    Parts of the kind `without` count for nothing. The records of a slot are read once in a build.
    """
    wanted = frozenset((part.kind, part.name, part.value) for part in parts if part.kind != without)
    called = frozenset((part.kind, part.name) for part in parts)
    known = earlier_records(session, slot)
    best: Record | None = None
    most, most_names = -1, -1
    for record, has in known:
        shared = len(wanted & has)
        if shared < most:
            continue
        names = len(called.intersection(part[:2] for part in has))
        if shared > most or names > most_names:
            best, most, most_names = record, shared, names
    if most < len(wanted) - 1 and slot.count("\n") > 1:
        # There may be more than these, or an equal step of another stage made the record: the step's own last run is the
        # likeliest.
        stage = slot.split("\n")[-2]
        for row in session.store.history.recent(slot, title, "" if stage.isdecimal() else stage, 1):
            own = session.store.records.find(row.key) if row.key else None
            if own is not None and len(wanted.intersection(own.parts)) > most:
                return own
    return best


def earlier_records(session: Session, slot: str) -> list[tuple[Record, Parts]]:
    """The newest records of a slot that were made before this build, pruned ones among them, each with its parts as a set."""
    known = session.earlier.get(slot)
    if known is None:
        found = session.store.records.nearest(slot, _COMPARED + len(session.made), evicted=True)
        records = [record for record in found if record.key not in session.made][:_COMPARED]
        known = session.earlier[slot] = [(record, frozenset(record.parts)) for record in records]
    return known


def _parent_reason(session: Session, closest: Record, above: Sequence[Above]) -> Reason:
    """Why a step stands on another state than the earlier record did."""
    changed = last_changed(above)
    if changed is not None:
        return because(changed.step, changed.title)
    before = next((value for kind, _, value in closest.parts if kind == "parent"), "")
    try:
        known = session.store.states.ancestors(bytes.fromhex(before))
    except ValueError:
        known = frozenset()
    for one in above:
        # The first that the earlier state did not stand on. It may be a hit: what it is now was built before.
        if known and one.state not in known and any(one.state):
            return because(one.step, one.title)
    return Reason("changed", "parent", "the base or an earlier step is another")


def _changed_files(store: Store, old: Record, new: str) -> tuple[Reason, ...]:
    if not old.listing or not new:
        return ()
    return changed_files(
        store.listing_file(old.slot, old.listing), new, store.secret, on_damage=partial(_drop_damaged, store)
    )


def _drop_damaged(store: Store, error: CoreError) -> None:
    from builder.store.listings import drop_damaged  # late: nearly all are sound

    drop_damaged(store, error)


def changed_files(
    old: str, new: str, secret: bytes, *, on_damage: Callable[[CoreError], None] | None = None
) -> tuple[Reason, ...]:
    """The files that differ between two listings made with one secret, as reasons; none if one cannot be read."""
    try:
        changes, total = listing_diff(old, new, secret, _LISTED)
    except CoreError as error:
        if on_damage is not None:
            on_damage(error)
        return ()
    reasons = [
        Reason(
            change.kind if change.kind in ("added", "removed") else "changed",
            f"file {change.path}",
            _describe(change.kind, change.path, change.detail),
        )
        for change in changes
    ]
    if total > len(changes):
        reasons.append(Reason("changed", "file", f"and {total - len(changes)} more"))
    return tuple(reasons)


def _describe(kind: str, path: str, detail: str) -> str:
    if kind == "added":
        return f"+{path}"
    if kind == "removed":
        return f"-{path}"
    return f"{path} ({kind}{' ' + detail if detail else ''})"


def why_another_base(session: Session, slot: str, title: str, stage: str, digest: str) -> tuple[Reason, ...]:
    """How a base differs from that of the last build of the same kind; nothing if it does not, or nobody knows."""
    history = session.store.history
    reference = reference_of(title)
    rows = history.recent(slot, title, stage, _BASES) or history.of_slot(slot, _BASES)
    rows = [row for row in rows if row.digest]
    if not rows or (rows[0].digest == digest and reference_of(rows[0].title) == reference):
        return ()
    last = _of_context(session, rows) or next(
        (row for row in rows if reference_of(row.title) == reference), None
    )
    if last is None:
        return ()
    before = reference_of(last.title)
    if before != reference:
        return (Reason("changed", f"base {reference}", f"{before} → {reference}"),)
    if last.digest == digest:
        return ()
    return (Reason("changed", f"base {reference}", f"digest {_short(last.digest)} → {_short(digest)}"),)


def reference_of(title: str) -> str:
    """The reference in the title of a base."""
    return title.partition("FROM ")[2]


def _of_context(session: Session, rows: Sequence[BuildStep]) -> BuildStep | None:
    """The newest of some steps that a build of the same context had."""
    mine = context_name(session.request)
    for row in rows:
        build = session.store.history.build(row.build)
        if build is not None and build.context == mine:
            return row
    return None


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12]
