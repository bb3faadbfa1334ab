"""Why a step or a base is not what it was: its record's parts against those of the nearest earlier one, and what stands above."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from builder.cache.explain import MountChange, because, explain
from builder.cache.key import Part
from builder.core.tree import listing_diff
from builder.engine.control import day
from builder.engine.nearest import nearest_record, shown_line
from builder.engine.recording import context_name
from builder.engine.session import Session
from builder.errors import CoreError
from builder.events import Reason
from builder.graph.naming import read_title
from builder.store.history import BuildStep
from builder.store.records import Record
from builder.store.store import Store
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.engine.mounted import Shown

# File names that an explanation lists; the rest is counted.
_LISTED = 20
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
    """Why a step missed, and the nearest earlier record of this store, None if there is none; with `elsewhere` the reasons are
    what differs from a record that a remote cache has.
    """

    reasons: tuple[Reason, ...]
    compared: Record | None = None
    elsewhere: bool = False

    @property
    def told_against(self) -> bytes:
        """The key of the record of this store that the reasons compare with, empty if there is none."""
        return self.compared.key if self.compared is not None and not self.elsewhere else b""


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
    shown: Callable[[], Mapping[str, Shown]],
) -> Miss:
    """Why there is no record for `parts`.

    `above` is what the step stands on, the lowest first; `sources` are, by their states, the stages and images that it takes
    files from. `listing` is the file that says what its sources are now, empty if there is none; those of mounts, which `shown`
    gives by their parts, are beside it.
    """
    store = session.store
    gone = next((when for key in keys if (when := store.evictions.when(key)) is not None), None)
    closest = nearest_record(session, slot, title, parts, above={one.state for one in above})
    if gone is not None:
        return Miss((Reason("evicted", "", f"evicted by prune on {day(gone)}"),), closest)
    if closest is None:
        base = last_changed(above[:1])
        came = (because(base.step, base.title),) if base is not None and _is_trigger(title) else ()
        return Miss((*explain(parts, None), *came))
    parent = _parent_reason(session, closest, above)
    reasons = explain(
        parts,
        tuple(Part(*fields) for fields in closest.parts),
        parent=parent,
        changed_files=lambda: _changed_files(store, closest, listing),
        sources={state: because(one.step, one.title) for state, one in sources.items() if one.changed},
        changed_mount=lambda old, new: _changed_mount(
            store, closest.slot, old, listing, shown().get(new.label)
        ),
    )
    return Miss(reasons, closest)


def _is_trigger(title: str) -> bool:
    """Whether a step came with the base of its stage."""
    return title.partition("] ")[2].startswith("ONBUILD ")


def _parent_reason(session: Session, closest: Record, above: Sequence[Above]) -> Reason:
    """Why a step stands on another state than the earlier record did."""
    changed = last_changed(above)
    if changed is not None:
        return because(changed.step, changed.title)
    try:
        before = bytes.fromhex(next((value for kind, _, value in closest.parts if kind == "parent"), ""))
        known = session.store.states.ancestors(before)
    except ValueError:
        before, known = b"", frozenset()
    for one in above:
        # The first that the earlier state did not stand on. It may be a hit: what it is now was built before.
        if known and one.state not in known and any(one.state):
            return because(one.step, one.title)
    # All that is above was there before too: a line was taken away, or stands elsewhere now.
    record = session.store.records.made(before)
    old = shown_line(record) if record is not None else "its base"
    new = _text(above[-1].title) if above else "its base"
    return Reason("changed", "parent", f"it stands on {new} now, on {old} before")


def _text(title: str) -> str:
    found = read_title(title)
    return title if found is None else found.text


def _changed_files(store: Store, old: Record, new: str) -> tuple[Reason, ...]:
    if not old.listing or not new:
        return ()
    return changed_files(
        store.listing_file(old.slot, old.listing), new, store.secret, on_damage=partial(_drop_damaged, store)
    )


def _changed_mount(store: Store, slot: str, old: Part, listing: str, new: Shown | None) -> MountChange:
    """How what a mount shows differs from what it showed once."""
    if new is None:
        return MountChange()
    from builder.engine.mounted import listing_name  # late: few steps have mounts

    before = store.listing_file(slot, listing_name(old, store.secret))
    now = os.path.join(os.path.dirname(listing), new.listing)
    files: tuple[Reason, ...] = ()
    if listing and os.path.exists(before) and os.path.exists(now):
        files = changed_files(before, now, store.secret, on_damage=partial(_drop_damaged, store))
    return MountChange(new.state, new.path, files)


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


def why_not_here(session: Session, slot: str, title: str, digest: str = "") -> str:
    """Why the store has not all of a base: it never had it, or an earlier build had it by the same name; of just that digest, if
    it is known.
    """
    rows = session.store.history.of_slot(slot, _BASES)
    known = any(
        row.digest and digest in ("", row.digest) and reference_of(row.title) == reference_of(title)
        for row in rows
    )
    return "not in the store any more" if known else "not in the store yet"


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
