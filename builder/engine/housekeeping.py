"""`builder.du` and `builder.prune`: what the store holds, and room for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from builder.store.filters import parse_filters
from builder.store.prune import Pruned, PrunePolicy
from builder.store.prune import prune as prune_store
from builder.store.settings import get_limit, set_limit
from builder.store.store import default_store_path, open_store
from builder.store.survey import Item, Survey
from builder.store.survey import survey as look_through


def du(*, store: str | None = None, userxattr: bool = False) -> Survey:
    """What a store holds, with sizes, last uses and who needs it.

    Args:
        store: The store's folder; default is the user's own.
        userxattr: The process is root of a user namespace (`builder.sandbox.ways.enter`).

    Raises:
        BuilderError: The store cannot be used.
    """
    with open_store(store or default_store_path(), userxattr=userxattr) as opened:
        return look_through(opened)


def prune(
    *,
    filters: Sequence[str] = (),
    all: bool = False,  # noqa: A002 - the command's flag
    max_used_space: int = 0,
    reserved_space: int = 0,
    min_free_space: int = 0,
    dry_run: bool = False,
    store: str | None = None,
    userxattr: bool = False,
    on_item: Callable[[Item, int], None] | None = None,
) -> Pruned:
    """Remove from a store what no image with a name and no running build or container needs.

    Args:
        filters: Conditions that items must meet, such as `until=24h` or `type=cache`.
        all: Also indexes of contexts, parsed build files, and records of steps whose files stay with an image.
        max_used_space: Bytes of cache that may stay; 0 for none.
        reserved_space: Bytes of cache that stay in any case.
        min_free_space: Bytes that are to be free on the file system.
        dry_run: Remove nothing, only say what would go.
        store: The store's folder; default is the user's own.
        userxattr: The process is root of a user namespace (`builder.sandbox.ways.enter`).
        on_item: Called with every item that went, and the bytes it gave back.

    Returns:
        The items that went, and how many bytes came back.

    Raises:
        BuilderError: The store cannot be used, or a filter means nothing.
    """
    policy = PrunePolicy(
        filters=parse_filters(filters),
        all=all,
        most=max_used_space,
        reserved=reserved_space,
        free=min_free_space,
        dry_run=dry_run,
    )
    with open_store(store or default_store_path(), userxattr=userxattr) as opened:
        return prune_store(opened, policy, on_item=on_item)


def store_limit(limit: int | None = None, *, store: str | None = None) -> int:
    """The size that builds keep a store below, in bytes (0: none); with `limit` it is set."""
    with open_store(store or default_store_path()) as opened:
        if limit is not None:
            set_limit(opened.database, limit)
        return get_limit(opened.database)
