"""What the parts of a key call states and files: names of this store, or names that mean the same on every machine."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from builder.core.tree import Ignore, Tree
else:
    Protocol = object


class Names(Protocol):
    """Names of states and files. Equal names stand for equal content."""

    def of_state(self, state: bytes) -> bytes:
        """The name of a state of this store."""

    def files(self, tree: Tree, node: int, *, exclude: Ignore | None, without_owner: bool) -> str:
        """The name of a node of a tree and all below it; the caller has locked the tree."""


class LocalNames:
    """States by themselves, files by their fingerprints: fast, and good in one store only."""

    @staticmethod
    def of_state(state: bytes) -> bytes:
        """The state itself."""
        return state

    @staticmethod
    def files(tree: Tree, node: int, *, exclude: Ignore | None, without_owner: bool) -> str:
        """The Merkle fingerprint."""
        return tree.fingerprint(node, exclude=exclude, without_owner=without_owner).hex()


LOCAL = LocalNames()
