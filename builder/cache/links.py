"""Hard links among files that a step takes: the copies are linked alike, so that links are part of a key."""

from __future__ import annotations

from builder.core.tree import Ignore, Tree


def links_of(tree: Tree, node: int, *, exclude: Ignore | None = None) -> str:
    """What a key says of the links at and below a node, after its files were fingerprinted; empty if there are none.

    Equal on every machine for equal links.
    """
    text = tree.links(node, exclude=exclude)
    if not text:
        return ""
    # Late: hardly any context has links.
    import hashlib

    return f" links {hashlib.sha256(text).hexdigest()}"
