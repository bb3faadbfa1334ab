"""Copying into root file systems, and paths inside them, resolved as a chroot would."""

from __future__ import annotations

import os

from builder.core.binding import Handle, check, ffi, lib, new_error
from builder.core.tree import Ignore, Tree
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from builder.core.facts import Facts


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """How files are copied; the fields are those of `pb_copy_options`.

    -1 keeps what the source has (for `mode` octal permissions, for `time` nanoseconds). `parent_*` are for directories
    made on the way to a destination.
    """

    uid: int = -1
    gid: int = -1
    mode: int = -1
    symbolic_mode: str | None = None
    parent_uid: int = 0
    parent_gid: int = 0
    parent_mode: int = -1
    keep_directory_times: bool = False
    no_follow_destination: bool = False
    separate_links: bool = False
    time: int = -1


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What was copied."""

    files: int
    directories: int
    links: int
    bytes: int


class Copier(Handle):
    """Copies nodes of trees into one root, with COPY's rules. Hard links among all that it copied stay links, with
    `separate_links` those among what one call copied.
    """

    def __init__(self, dest_root_fd: int, options: CopyOptions) -> None:
        settings, _held = _settings(options)
        found = ffi.new("pb_copier **")
        error = new_error()
        check(lib.pb_copier_new(dest_root_fd, settings, found, error), error)
        super().__init__(found, lib.pb_copier_free)

    def add(
        self,
        tree: Tree,
        node: int,
        destination: bytes,
        *,
        base: bytes | None = None,
        exclude: Ignore | None = None,
    ) -> None:
        """Copy a node to an absolute path inside the root; a file that lands in a directory is called `base`."""
        error = new_error()
        name = ffi.NULL if base is None else base
        rules = exclude.handle if exclude else ffi.NULL
        check(lib.pb_copier_add(self.handle, tree.handle, node, destination, name, rules, error), error)

    def add_folder(self, tree: Tree, node: int, destination: bytes, *, itself: bool = False) -> None:
        """Make a directory with the attributes of a node, but without its contents.

        One that is there gets them too if it is what was asked for `itself`, and else only the mode.
        """
        error = new_error()
        check(lib.pb_copier_add_folder(self.handle, tree.handle, node, destination, itself, error), error)

    def add_bytes(self, data: bytes, destination: bytes, *, base: bytes, mode: int) -> None:
        """Make a file of some bytes, with the same rules."""
        error = new_error()
        check(
            lib.pb_copier_add_bytes(
                self.handle, ffi.from_buffer("uint8_t[]", data), len(data), destination, base, mode, error
            ),
            error,
        )

    def finish(self) -> CopyResult:
        """What was copied by now."""
        found = ffi.new("pb_copy_result *")
        error = new_error()
        check(lib.pb_copier_finish(self.handle, found, error), error)
        return CopyResult(found.files, found.directories, found.links, found.bytes)


def _settings(options: CopyOptions) -> tuple[Any, Any]:
    """The options as C wants them, and what must live as long as they do."""
    symbolic = ffi.NULL
    if options.symbolic_mode is not None:
        symbolic = ffi.new("char[]", options.symbolic_mode.encode("utf-8", "surrogateescape"))
    fields = {
        "uid": options.uid,
        "gid": options.gid,
        "mode": options.mode,
        "symbolic_mode": symbolic,
        "parent_uid": options.parent_uid,
        "parent_gid": options.parent_gid,
        "parent_mode": options.parent_mode,
        "keep_directory_times": options.keep_directory_times,
        "no_follow_destination": options.no_follow_destination,
        "separate_links": options.separate_links,
        "time": options.time,
    }
    return ffi.new("pb_copy_options *", fields), symbolic


def copy_folder(
    tree: Tree,
    node: int,
    options: CopyOptions,
    upper_fd: int,
    lower_fd: int,
    path: bytes,
    *,
    exclude: Ignore | None = None,
    known: Facts | None = None,
) -> CopyResult:
    """Merge the contents of a folder into `path` (relative, no link on the way) below an upper directory that is not mounted.

    `lower_fd` is the view below, -1 if there is none. What becomes known of the copies is added to `known`.
    """
    found = ffi.new("pb_copy_result *")
    error = new_error()
    settings, _held = _settings(options)
    rules = exclude.handle if exclude else ffi.NULL
    facts = known.handle if known else ffi.NULL
    check(
        lib.pb_copy_folder(tree.handle, node, rules, settings, upper_fd, lower_fd, path, facts, found, error),
        error,
    )
    return CopyResult(found.files, found.directories, found.links, found.bytes)


def copy_rootfs(source_fd: int, dest_fd: int, *, keep_owner: bool) -> CopyResult:
    """Copy all files below one descriptor to another; without `keep_owner` they belong to the caller."""
    found = ffi.new("pb_copy_result *")
    error = new_error()
    check(lib.pb_copy_rootfs(source_fd, dest_fd, keep_owner, found, error), error)
    return CopyResult(found.files, found.directories, found.links, found.bytes)


def link_tree(source_fd: int, dest_fd: int) -> None:
    """Make what is below one directory once more below another, an empty one: all but directories as hard links."""
    error = new_error()
    check(lib.pb_link_tree(source_fd, dest_fd, error), error)


def make_directory(root_fd: int, path: bytes, mode: int, uid: int, gid: int) -> None:
    """`mkdir -p` inside a root; directories that exist stay as they are."""
    error = new_error()
    check(lib.pb_make_directory(root_fd, path, mode, uid, gid, error), error)


def open_in_root(root_fd: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open a path as a chroot in `root_fd` would see it; the descriptor is the caller's."""
    error = new_error()
    return check(lib.pb_open_in_root(root_fd, path, flags, mode, error), error)


def remove_tree(dir_fd: int, name: bytes) -> None:
    """Remove a name in a directory and all below it, whatever its modes; what is missing is no error."""
    error = new_error()
    check(lib.pb_remove_tree(dir_fd, name, error), error)


def sync_file_system(fd: int) -> None:
    """Bring all that was written to a descriptor's file system to the disk."""
    error = new_error()
    check(lib.pb_sync_file_system(fd, error), error)


def exchange(one: str, other: str) -> None:
    """Let two names, which are both there, stand for each other's files; a `CoreError` where the file system cannot."""
    error = new_error()
    check(lib.pb_exchange(os.fsencode(one), os.fsencode(other), error), error)
