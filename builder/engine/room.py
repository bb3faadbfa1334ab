"""The size limit of a store, kept while a build goes on: after each step that was carried out, and at the end."""

from __future__ import annotations

from builder.engine.session import Session
from builder.errors import StoreError
from builder.store.limit import make_room
from builder.store.settings import get_limit


def keep_limit(session: Session) -> None:
    """Make room if the store has grown too large; a warning if what is left is all in use."""
    store = session.store
    limit = session.request.store_limit
    try:
        limit = get_limit(store.database) if limit is None else limit
        if not limit:
            return
        with session.room:
            size, _ = make_room(store, limit)
    except StoreError as error:
        session.events.warn(f"no room could be made in the store: {error.message}")
        return
    if size > limit and "limit" not in session.told:
        session.told.add("limit")
        session.events.warn(
            f"the store is larger than its limit, {size / 1e6:.1f} MB instead of {limit / 1e6:.1f} MB: the rest is of images "
            "with names and of what is used now"
        )
