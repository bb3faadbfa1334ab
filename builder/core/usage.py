"""How much room folders take on the disk."""

from __future__ import annotations

from builder.core.binding import Handle, check, ffi, lib, new_error
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes that are allocated for a folder and all in it, a file with several names counted once.

    `fresh` are those of files that no folder measured before has; `own` those of files that have no name elsewhere.
    """

    bytes: int
    fresh: int
    own: int
    entries: int


class Usages(Handle):
    """Measures folders one after the other, so that files which several of them share are known."""

    def __init__(self) -> None:
        found = ffi.new("pb_usages **")
        error = new_error()
        check(lib.pb_usages_new(found, error), error)
        super().__init__(found, lib.pb_usages_free)

    def add(self, dir_fd: int, name: bytes) -> Usage:
        """What a name in a directory takes, and all below it."""
        found = ffi.new("pb_usage *")
        error = new_error()
        check(lib.pb_usages_add(self.handle, dir_fd, name, found, error), error)
        return Usage(found.bytes, found.fresh, found.own, found.entries)
