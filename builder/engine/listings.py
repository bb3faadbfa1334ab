"""What the sources of a COPY were, and what the mounts of a RUN showed, is kept for its last runs, which share what is alike, so
that a store grows by what changed.
"""

from __future__ import annotations

from builder.engine.nearest import earlier_records
from builder.engine.session import Session
from builder.store.records import Record

# Runs of one COPY whose files a later run can be compared with, one by one: branches that take turns need one each.
KEPT = 16
# There may be more for a while, so that not every run has to look for what nobody needs any more.
_MOST = 2 * KEPT


def keep_few(session: Session, record: Record) -> None:
    """Drop the listings of all but the last few runs of the COPY, ADD or RUN that `record` is of.

    Whoever reads one meanwhile does without it, as without one that was never there.
    """
    mine = _sources(record)
    listings = [
        other.listing
        for other, _ in earlier_records(session, record.slot)
        if other.listing and other.listing != record.listing and _sources(other) == mine
    ]
    # The newest first; of records that share a listing one counts.
    found = list(dict.fromkeys(listings))
    if len(found) < _MOST:
        return
    from builder.store.listings import sweep, unlink  # late: few runs come here

    with session.store.database.transaction():
        for name in found[KEPT - 1 :]:
            session.store.records.drop_listing(record.slot, name)
    for name in found[KEPT - 1 :]:
        unlink(session.store, record.slot, name)
    sweep(session.store, record.slot)


def _sources(record: Record) -> tuple[tuple[str, str], ...]:
    """What the runs of one instruction have in common: where it copies to or its command, and the names of what it takes."""
    return tuple(
        (name, value if kind in ("destination", "argument") else "")
        for kind, name, value in record.parts
        if kind in ("destination", "argument", "file", "mount")
    )
