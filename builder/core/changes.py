"""What a step changed, read from the upper directory of its overlay."""

from __future__ import annotations

from builder.core.binding import check, ffi, lib, new_error
from builder.core.tree import Change, read_changes
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.core.facts import Facts


@dataclass(frozen=True, slots=True)
class Changes:
    """The normalised changes: a fingerprint without times (16 bytes), how many, bytes of files in them, how many entries were
    dropped because they equalled the lower ones, and how many bytes had to be read for the fingerprint.
    """

    fingerprint: bytes
    entries: int
    bytes: int
    dropped: int
    hashed: int


def settle(upper_fd: int, lower_fd: int, secret: bytes, known: Facts | None = None) -> Changes:
    """Drop from an upper directory what equals the lower view (-1: there is none) and fingerprint the rest.

    Files that `known` has are not read; afterwards it has all files of the upper directory.
    """
    found = ffi.new("pb_changes *")
    held = ffi.from_buffer("uint8_t[]", secret)
    key = ffi.new("pb_secret *", {"data": held, "size": len(secret)})
    error = new_error()
    facts = known.handle if known else ffi.NULL
    check(lib.pb_upper_settle(upper_fd, lower_fd, key, facts, found, error), error)
    return Changes(
        bytes(ffi.buffer(found.fingerprint.bytes)), found.entries, found.bytes, found.dropped, found.hashed
    )


def clamp_times(dir_fd: int, newest: int) -> None:
    """Give everything at and below a directory that is newer than `newest` (nanoseconds) that time."""
    error = new_error()
    check(lib.pb_clamp_times(dir_fd, newest, error), error)


def changes_diff(
    first_fd: int, second_fd: int, secret: bytes, *, newest: int = -1, limit: int = 100
) -> tuple[tuple[Change, ...], int]:
    """What differs between two upper directories that should be equal: at most `limit` differences; how many in all.

    With `newest` (nanoseconds) times are compared too, later ones as `newest`.
    """
    text = ffi.new("char **")
    total = ffi.new("uint64_t *")
    held = ffi.from_buffer("uint8_t[]", secret)
    key = ffi.new("pb_secret *", {"data": held, "size": len(secret)})
    error = new_error()
    check(lib.pb_changes_diff(first_fd, second_fd, key, newest, limit, text, total, error), error)
    return read_changes(text), int(total[0])


@dataclass(frozen=True, slots=True)
class Waste:
    """What a layer has of those below: files with the same content again, files that it replaces, entries that it takes away.

    The paths are the largest of their kind, or empty.
    """

    copied_files: int
    copied_bytes: int
    replaced_files: int
    replaced_bytes: int
    removed_entries: int
    removed_bytes: int
    copied_path: str
    removed_path: str


def waste(upper_fd: int, lower_fd: int) -> Waste:
    """Compare a layer in overlay form with the merged view of those below it."""
    found = ffi.new("pb_waste *")
    error = new_error()
    check(lib.pb_layer_waste(upper_fd, lower_fd, found, error), error)
    return Waste(
        found.copied_files,
        found.copied_bytes,
        found.replaced_files,
        found.replaced_bytes,
        found.removed_entries,
        found.removed_bytes,
        ffi.string(found.copied_path).decode("utf-8", "backslashreplace"),
        ffi.string(found.removed_path).decode("utf-8", "backslashreplace"),
    )
