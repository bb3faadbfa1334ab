"""Hashes of files that were just written or kept, so that nobody has to read them again."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from builder.core.binding import check, ffi, lib, new_error


class Facts:
    """Hashes by inode, size and mtime, of files on one file system to which nobody else can write."""

    def __init__(self, secret: bytes) -> None:
        found = ffi.new("pb_facts **")
        held = ffi.from_buffer("uint8_t[]", secret)
        key = ffi.new("pb_secret *", {"data": held, "size": len(secret)})
        check(lib.pb_facts_new(key, found), new_error())
        self.handle: Any = ffi.gc(found[0], lib.pb_facts_free)

    def __enter__(self) -> Facts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def save(self, folder_fd: int, dir_fd: int, name: str) -> bool:
        """Keep it in a new file, for files below a folder; False where that folder cannot be told from a copy."""
        error = new_error()
        return bool(check(lib.pb_facts_save(self.handle, folder_fd, dir_fd, name.encode(), error), error))

    def load(self, folder_fd: int, dir_fd: int, name: str) -> bool:
        """Add what such a file says; False if there is none for this very folder, or a damaged one."""
        return bool(check(lib.pb_facts_load(self.handle, folder_fd, dir_fd, name.encode()), new_error()))

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        if self.handle is not None:
            ffi.release(self.handle)
            self.handle = None
