"""Digests of trees that are the same on every machine: SHA-256 where local keys use fingerprints."""

from __future__ import annotations

from collections.abc import Sequence

from builder.core.binding import Handle, check, ffi, lib, new_error
from builder.core.tree import Ignore, Tree

_WITHOUT_OWNER, _CHANGES = 1, 2


class Known(Handle):
    """Which digest goes with which fingerprint, kept in a file, so that unchanged content is hashed by SHA-256 once.

    One thread at a time.
    """

    def __init__(self, file: str | None, secret: bytes) -> None:
        found = ffi.new("pb_known **")
        error = new_error()
        held = ffi.from_buffer("uint8_t[]", secret)
        key = ffi.new("pb_secret *", {"data": held, "size": len(secret)})
        path = ffi.NULL if file is None else ffi.new("char[]", file.encode("utf-8", "surrogateescape"))
        check(lib.pb_known_open(path, key, found, error), error)
        super().__init__(found, lib.pb_known_free)
        self.hashed = 0
        """Bytes of file contents that were read by now."""

    def digest(
        self,
        tree: Tree,
        node: int,
        *,
        exclude: Ignore | None = None,
        without_owner: bool = False,
        changes: bool = False,
    ) -> bytes:
        """The Merkle digest (32 bytes) of a node and all below it, as `Tree.fingerprint` but portable.

        `changes` says that the tree is a snapshot, in which opaque marks and hard links count.
        """
        found = ffi.new("pb_digest *")
        hashed = ffi.new("uint64_t *")
        error = new_error()
        rules = exclude.handle if exclude else ffi.NULL
        flags = (_WITHOUT_OWNER if without_owner else 0) | (_CHANGES if changes else 0)
        check(lib.pb_tree_portable(tree.handle, node, rules, flags, self.handle, found, hashed, error), error)
        self.hashed += int(hashed[0])
        return bytes(ffi.buffer(found.bytes))

    def save_listing(
        self,
        tree: Tree,
        nodes: Sequence[int],
        file: str,
        *,
        exclude: Ignore | None = None,
        without_owner: bool = False,
    ) -> None:
        """As `Tree.save_listing`, but the same bytes on every machine, in one file; its secret for `listing_diff` is empty."""
        hashed = ffi.new("uint64_t *")
        error = new_error()
        rules = exclude.handle if exclude else ffi.NULL
        flags = _WITHOUT_OWNER if without_owner else 0
        path = file.encode("utf-8", "surrogateescape")
        result = lib.pb_tree_save_portable(
            tree.handle, list(nodes), len(nodes), rules, flags, self.handle, path, hashed, error
        )
        check(result, error)
        self.hashed += int(hashed[0])

    def save(self) -> None:
        """Keep what was learned, atomically; nothing is written if that is nothing."""
        error = new_error()
        check(lib.pb_known_save(self.handle, error), error)
