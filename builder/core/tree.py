"""Trees: what a folder holds, walked lazily and at most once; ignore rules; fingerprints and listings."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Sequence

from builder.core.binding import Handle, check, ffi, lib, new_error
from builder.errors import CoreError
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WITHOUT_OWNER = 1
_PATH_SIZES = (1 << 12, 1 << 16, 1 << 20, 1 << 24)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder, link, … of a tree.

    `kind` is one of `d f l c b p s`; `mode` has no type bits; times are nanoseconds since 1970; `path` is
    relative to the tree's root, empty for the root itself.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    nlink: int
    size: int
    mtime: int
    ctime: int
    device: int
    inode: int
    rdev: int
    path: bytes


@dataclass(frozen=True, slots=True)
class TreeStats:
    """What a tree cost: directories read, entries looked at, files read and files that the index knew."""

    directories: int
    entries: int
    files_hashed: int
    bytes_hashed: int
    files_known: int


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two listings.

    `kind` is one of `added removed content mode owner type target xattrs`; `detail` is for people.
    """

    kind: str
    path: str
    detail: str


def hash_bytes(data: bytes | memoryview, secret: bytes = b"") -> bytes:
    """XXH3-128 of some bytes, canonical form; the secret is empty or at least 136 bytes."""
    found = ffi.new("pb_fingerprint *")
    held = ffi.from_buffer("uint8_t[]", secret)
    key = ffi.new("pb_secret *", {"data": held, "size": len(secret)})
    if lib.pb_hash_bytes(ffi.from_buffer("uint8_t[]", data), len(data), key, found) < 0:
        raise ValueError("a secret has at least 136 bytes")
    return bytes(ffi.buffer(found.bytes))


def _one_text(text: bytes) -> bytes:
    """A text that C sees as a whole."""
    if b"\0" in text:
        shown = text.decode("utf-8", "backslashreplace")
        raise CoreError("find", errno.EINVAL, shown, f"find {shown!r}: no path holds a NUL byte")
    return text


def _clean_pattern(pattern: str) -> bytes:
    """A pattern as the core wants it: Go's `filepath.Clean`, behind a `!`. Empty ones match nothing."""
    pattern = pattern.strip()
    exception, pattern = ("!", pattern[1:].strip()) if pattern.startswith("!") else ("", pattern)
    if exception and not pattern:
        raise CoreError(
            "compile pattern", errno.EINVAL, "!", "compile pattern !: nothing stands behind the !"
        )
    if pattern:
        pattern = posixpath.normpath(pattern)
        if pattern.startswith("//"):  # POSIX gives two slashes a meaning, Go does not
            pattern = pattern[1:]
    return _one_text((exception + pattern).encode("utf-8", "surrogateescape"))


class Ignore(Handle):
    """Compiled ignore rules, as moby/patternmatcher has them: the last match decides, `!` makes an exception.

    A path is left out if it or a folder above it is matched. Patterns are trimmed and cleaned as `New` does
    there. One that cannot be understood is a `CoreError` with the pattern as its path. `below` stands in front of the
    paths of a selection, whose top can only then be left out itself.
    """

    def __init__(self, patterns: Sequence[str], *, below: str = "") -> None:
        text = b"".join(_clean_pattern(pattern) + b"\0" for pattern in patterns)
        found = ffi.new("pb_ignore **")
        error = new_error()
        prefix = _one_text(below.encode("utf-8", "surrogateescape"))
        check(lib.pb_ignore_new(text, len(text), prefix, found, error), error)
        super().__init__(found, lib.pb_ignore_free)

    def match(self, path: str) -> tuple[bool, int]:
        """Whether a relative path is left out, and the index of the rule that decided, -1 for none."""
        rule = ffi.new("int *")
        found = lib.pb_ignore_match(self.handle, path.encode("utf-8", "surrogateescape"), rule)
        return bool(found), int(rule[0])

    def close(self) -> None:
        """Let go of the rules; trees that were opened with them keep them. Safe to call twice."""
        self.handle = None


def _by_path(entry: tuple[str, int, str]) -> str:
    return entry[2]


class Tree(Handle):
    """The files below a descriptor, as ignore rules let them be seen. One thread at a time.

    `index` is the file of an earlier `save`: what has not changed by its stat data is not read again. Nodes
    are numbers, stable while the tree is open. `spare_fd` is a folder on whose file system a large tree may lie, in a file
    without a name, instead of in memory.
    """

    def __init__(
        self,
        root_fd: int,
        *,
        ignore: Ignore | None = None,
        secret: bytes = b"",
        index: str | None = None,
        spare_fd: int = -1,
    ) -> None:
        found = ffi.new("pb_tree **")
        error = new_error()
        held = ffi.from_buffer("uint8_t[]", secret)
        key = ffi.new("pb_secret *", {"data": held, "size": len(secret)})
        rules = ignore.handle if ignore else ffi.NULL
        file = index.encode("utf-8", "surrogateescape") if index else ffi.NULL
        check(lib.pb_tree_open(root_fd, rules, key, file, spare_fd, found, error), error)
        super().__init__(found, lib.pb_tree_free)
        self._rules = rules  # the core has a pointer to them

    def find(self, path: bytes, *, follow: bool = True) -> int:
        """The node at a path; links are resolved inside the tree, the last one only with `follow`."""
        found = ffi.new("uint32_t *")
        error = new_error()
        check(lib.pb_tree_find(self.handle, _one_text(path), follow, found, error), error)
        return int(found[0])

    def glob(self, pattern: bytes, *, double_star: bool = False) -> list[int]:
        """The nodes that match a pattern of Go's filepath.Match, by path; `**` is any depth if asked for."""
        found = ffi.new("uint32_t **")
        count = ffi.new("size_t *")
        error = new_error()
        check(lib.pb_tree_glob(self.handle, _one_text(pattern), double_star, found, count, error), error)
        try:
            return list(ffi.unpack(found[0], count[0])) if count[0] else []
        finally:
            lib.pb_free(found[0])

    def entry(self, node: int) -> Entry:
        """What a node is."""
        found = ffi.new("pb_entry *")
        error = new_error()
        for size in _PATH_SIZES:
            path = ffi.new("char[]", size)
            result = lib.pb_tree_entry(self.handle, node, found, path, size, error)
            if result != -errno.ENAMETOOLONG:
                break
        check(result, error)
        return Entry(
            found.kind.decode(),
            found.mode,
            found.uid,
            found.gid,
            found.nlink,
            found.size,
            found.mtime,
            found.ctime,
            found.device,
            found.inode,
            found.rdev,
            ffi.string(path),
        )

    def fingerprint(self, node: int, *, exclude: Ignore | None = None, without_owner: bool = False) -> bytes:
        """The Merkle fingerprint of a node and all below it (16 bytes); times are no part of it."""
        found = ffi.new("pb_fingerprint *")
        error = new_error()
        rules = exclude.handle if exclude else ffi.NULL
        flags = _WITHOUT_OWNER if without_owner else 0
        check(lib.pb_tree_fingerprint(self.handle, node, rules, flags, found, error), error)
        return bytes(ffi.buffer(found.bytes))

    def measure(self, node: int, *, exclude: Ignore | None = None) -> tuple[int, int, int]:
        """The number of entries at and below a node, the bytes of the files among them, and how many entries are further
        names of a file that has another there.
        """
        entries, size, links = (ffi.new("uint64_t *") for _ in range(3))
        error = new_error()
        rules = exclude.handle if exclude else ffi.NULL
        check(lib.pb_tree_measure(self.handle, node, rules, entries, size, links, error), error)
        return int(entries[0]), int(size[0]), int(links[0])

    def list(self, node: int, *, exclude: Ignore | None = None) -> tuple[tuple[str, int, str], ...]:
        """Kind, size (0 for what is no file) and path of all entries at and below a node, by path."""
        text = ffi.new("char **")
        size = ffi.new("size_t *")
        error = new_error()
        rules = exclude.handle if exclude else ffi.NULL
        check(lib.pb_tree_list(self.handle, node, rules, text, size, error), error)
        try:
            fields = bytes(ffi.buffer(text[0], size[0])).decode("utf-8", "surrogateescape").split("\0")
        finally:
            lib.pb_free(text[0])
        kinds, sizes, paths = fields[:-1:3], fields[1::3], fields[2::3]
        return tuple(sorted(zip(kinds, map(int, sizes), paths, strict=True), key=_by_path))

    def links(self, node: int, *, exclude: Ignore | None = None) -> bytes:
        """Which names at and below a node belong to one file, after `fingerprint`: empty if no file has several, else a text that
        says it.
        """
        text = ffi.new("char **")
        size = ffi.new("size_t *")
        error = new_error()
        rules = exclude.handle if exclude else ffi.NULL
        check(lib.pb_tree_links(self.handle, node, rules, text, size, error), error)
        try:
            return bytes(ffi.buffer(text[0], size[0]))
        finally:
            lib.pb_free(text[0])

    def stats(self) -> TreeStats:
        """What the tree cost so far."""
        found = ffi.new("pb_tree_stats *")
        lib.pb_tree_get_stats(self.handle, found)
        return TreeStats(
            found.directories, found.entries, found.files_hashed, found.bytes_hashed, found.files_known
        )

    def save(self, file: str) -> None:
        """Write the index file, atomically."""
        error = new_error()
        check(lib.pb_tree_save(self.handle, file.encode("utf-8", "surrogateescape"), error), error)

    def save_listing(
        self, nodes: Sequence[int], file: str, *, exclude: Ignore | None = None, without_owner: bool = False
    ) -> None:
        """Keep what some nodes and all below them are now, for `listing_diff`.

        Runs of entries become files of the same folder (`*.leaf`), which listings there share.
        """
        error = new_error()
        rules = exclude.handle if exclude else ffi.NULL
        flags = _WITHOUT_OWNER if without_owner else 0
        path = file.encode("utf-8", "surrogateescape")
        check(
            lib.pb_tree_save_listing(self.handle, list(nodes), len(nodes), rules, flags, path, error), error
        )

    def close(self) -> None:
        """Let go of memory and descriptors; safe to call twice."""
        super().close()
        self._rules = None


def listing_diff(old: str, new: str, secret: bytes, limit: int = 100) -> tuple[tuple[Change, ...], int]:
    """What differs between two listings made with one secret: at most `limit` changes, by path; how many in all."""
    text = ffi.new("char **")
    total = ffi.new("uint64_t *")
    error = new_error()
    held = ffi.from_buffer("uint8_t[]", secret)
    key = ffi.new("pb_secret *", {"data": held, "size": len(secret)})
    files = [name.encode("utf-8", "surrogateescape") for name in (old, new)]
    check(lib.pb_listing_diff(files[0], files[1], key, limit, text, total, error), error)
    return read_changes(text), int(total[0])


def sweep_listings(folder: str, secret: bytes) -> int:
    """Remove the leaves that no listing in a folder has; the bytes that came back. Nobody may write one there meanwhile."""
    freed = ffi.new("uint64_t *")
    error = new_error()
    held = ffi.from_buffer("uint8_t[]", secret)
    key = ffi.new("pb_secret *", {"data": held, "size": len(secret)})
    check(lib.pb_listing_sweep(folder.encode("utf-8", "surrogateescape"), key, freed, error), error)
    return int(freed[0])


def read_changes(text: Any) -> tuple[Change, ...]:
    """The changes that the core wrote, a line each, to a `char **`; frees it."""
    try:
        lines = ffi.string(text[0]).decode("utf-8", "surrogateescape").split("\n")[:-1]
    finally:
        lib.pb_free(text[0])
    changes = [line.split("\t") for line in lines]
    if any(len(change) != 3 for change in changes):
        raise CoreError("compare", 22, "", "compare: unreadable answer")
    return tuple(Change(*change) for change in changes)
