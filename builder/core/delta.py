"""What a folder has that earlier parts of it have not, as far as their listings tell."""

from __future__ import annotations

from builder.core.binding import Handle, check, ffi, lib, new_error
from builder.core.portable import Known
from builder.core.tree import Tree
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Sum:
    """What it means to keep some of the parts: `changed` entries that a new part has to have, and what they weigh (`fresh`:
    bytes of files, and a header each), `gone` entries that it has to remove; what the kept parts weigh (`total`), and how much of
    that is still as they say (`live`).
    """

    changed: int
    fresh: int
    gone: int
    total: int
    live: int


class Delta(Handle):
    """All files of a tree, hashed by SHA-256 as far as `known` does not know them, and parts that are there already. One thread
    at a time, which has the tree and `known` to itself.
    """

    def __init__(self, tree: Tree, known: Known) -> None:
        found = ffi.new("pb_delta **")
        self._error = new_error()
        check(lib.pb_delta_new(tree.handle, known.handle, found, self._error), self._error)
        super().__init__(found, lib.pb_delta_free)
        self._held = tree, known  # the core has pointers to them
        self._parts = 0

    def add(self, listing: bytes) -> None:
        """The listing of the next part that is there, of at most 64; a `CoreError` if it is damaged."""
        self._parts += 1
        data = ffi.from_buffer("uint8_t[]", listing)
        check(lib.pb_delta_add(self.handle, data, len(listing), self._error), self._error)

    def sums(self) -> list[Sum]:
        """For each number of parts to keep, from none to all."""
        found = ffi.new("pb_delta_sum[]", self._parts + 1)
        check(lib.pb_delta_sums(self.handle, found, self._error), self._error)
        return [Sum(one.changed, one.fresh, one.gone, one.total, one.live) for one in found]

    def choose(self, kept: int, file: str) -> None:
        """Choose what a new part has if so many are kept, and write its listing to a new file."""
        check(lib.pb_delta_choose(self.handle, kept, self._error), self._error)
        path = file.encode("utf-8", "surrogateescape")
        check(lib.pb_delta_save(self.handle, path, self._error), self._error)

    def divide(self, packs: int) -> None:
        """Divide the new part into packs, at least one: of several the first has all that is no file."""
        check(lib.pb_delta_divide(self.handle, packs, self._error), self._error)
