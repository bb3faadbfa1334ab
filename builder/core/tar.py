"""Tar archives: a deterministic writer that is pulled, and a safe reader that is fed."""

from __future__ import annotations

from builder.core.binding import Handle, check, ffi, lib, new_error
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from builder.core.delta import Delta
    from builder.core.facts import Facts

_LAYER, _ROOTFS, _PIECES = 1, 2, 4
_UNTAR_LAYER, _UNTAR_USERXATTR, _UNTAR_REMOVALS = 1, 2, 4


class TarWriter(Handle):
    """The tar of the files below a descriptor: the same files give the same bytes.

    With `layer` overlay whiteouts become `.wh.` entries. `max_mtime` (nanoseconds, -1: none) clamps times. With `pieces` each
    `read` ends where a piece does, of which the same entries make the same ones wherever they stand. What `facts` knows of
    the files need not be asked of them.
    """

    def __init__(
        self,
        dir_fd: int,
        *,
        layer: bool,
        max_mtime: int = -1,
        pieces: bool = False,
        facts: Facts | None = None,
    ) -> None:
        found = ffi.new("pb_tar_writer **")
        error = new_error()
        known = facts.handle if facts else ffi.NULL
        flags = (_LAYER if layer else _ROOTFS) | (_PIECES if pieces else 0)
        check(lib.pb_tar_open(dir_fd, flags, max_mtime, known, found, error), error)
        self._begin(found, error, facts)

    @classmethod
    def of_delta(cls, delta: Delta, pack: int) -> TarWriter:
        """A pack of a delta that was divided, from 0. A file that has changed since it was compared is a `CoreError`."""
        found = ffi.new("pb_tar_writer **")
        error = new_error()
        check(lib.pb_tar_of_delta(delta.handle, pack, found, error), error)
        writer = cls.__new__(cls)
        writer._begin(found, error, delta)
        return writer

    def _begin(self, found: Any, error: Any, held: object) -> None:
        Handle.__init__(self, found, lib.pb_tar_free)
        self._held = held  # the core has a pointer to it
        self._buffer: Any = None
        self._error = error

    def read(self, size: int = 1 << 20) -> memoryview:
        """The next bytes, none at the end; they are valid until the next call."""
        if self._buffer is None or len(self._buffer) != size:
            self._buffer = ffi.new("uint8_t[]", size)
        count = check(lib.pb_tar_read(self.handle, self._buffer, size, self._error), self._error)
        return memoryview(ffi.buffer(self._buffer, count))

    def plan(self, size: int) -> tuple[int, bytes]:
        """How many bytes come next, at most `size`, 0 at the end; and the fingerprint of what they are made of, empty if the
        contents of a file among them are not known. No file's contents are read for it.
        """
        name, named = ffi.new("pb_fingerprint *"), ffi.new("int *")
        count = check(lib.pb_tar_plan(self.handle, size, name, named, self._error), self._error)
        return count, bytes(ffi.buffer(name.bytes)) if named[0] else b""

    def fill(self, buffer: bytearray) -> None:
        """The bytes that were planned."""
        held = ffi.from_buffer("uint8_t[]", buffer)
        check(lib.pb_tar_fill(self.handle, held, self._error), self._error)


@dataclass(frozen=True, slots=True)
class UntarResult:
    """How many entries an archive had, and how many bytes of file contents."""

    entries: int
    bytes: int


class Untar(Handle):
    """Unpacks a tar stream below `prefix` in a root that nothing leaves.

    With `layer` `.wh.` entries become overlay whiteouts (`userxattr` for those of a user namespace). `uid` and `gid` -1
    keep the archive's. With `removals` entries of type `R` remove what is there. More than `max_bytes` or `max_entries` (0: no
    bound) is a `CoreError` with EFBIG.
    """

    def __init__(
        self,
        root_fd: int,
        prefix: bytes = b"",
        *,
        layer: bool,
        userxattr: bool = False,
        removals: bool = False,
        uid: int = -1,
        gid: int = -1,
        max_bytes: int = 0,
        max_entries: int = 0,
    ) -> None:
        flags = (_UNTAR_LAYER if layer else 0) | (_UNTAR_USERXATTR if userxattr else 0)
        flags |= _UNTAR_REMOVALS if removals else 0
        found = ffi.new("pb_untar **")
        error = new_error()
        check(
            lib.pb_untar_open(root_fd, prefix, flags, uid, gid, max_bytes, max_entries, found, error), error
        )
        super().__init__(found, lib.pb_untar_free)
        self._error = error

    def feed(self, data: bytes | memoryview) -> None:
        """The next bytes of the archive, in pieces of any size."""
        check(
            lib.pb_untar_feed(self.handle, ffi.from_buffer("uint8_t[]", data), len(data), self._error),
            self._error,
        )

    def finish(self) -> UntarResult:
        """After the last byte; an archive that is cut short is a `CoreError`."""
        found = ffi.new("pb_untar_result *")
        check(lib.pb_untar_finish(self.handle, found, self._error), self._error)
        return UntarResult(found.entries, found.bytes)

    def adopt(self, lower_fd: int) -> None:
        """After `finish`, of a layer: take from the layers below what this one implies but does not say."""
        check(lib.pb_untar_adopt(self.handle, lower_fd, self._error), self._error)


def is_tar(data: bytes) -> bool:
    """Whether some first bytes (at least 512) begin a tar archive."""
    return bool(lib.pb_is_tar(ffi.from_buffer("uint8_t[]", data), len(data)))
