"""Hashes of files that were just written or kept, so that nobody has to read them again."""

from __future__ import annotations

from builder.core.binding import Handle, check, ffi, lib, new_error


class Facts(Handle):
    """Hashes by inode, size and mtime, of files on one file system to which nobody else can write. `spare_fd`: see `Tree`."""

    def __init__(self, secret: bytes, *, spare_fd: int = -1) -> None:
        found = ffi.new("pb_facts **")
        held = ffi.from_buffer("uint8_t[]", secret)
        key = ffi.new("pb_secret *", {"data": held, "size": len(secret)})
        check(lib.pb_facts_new(key, spare_fd, found), new_error())
        super().__init__(found, lib.pb_facts_free)

    def save(self, folder_fd: int, dir_fd: int, name: str) -> bool:
        """Keep it in a new file, for files below a folder; False where that folder cannot be told from a copy."""
        error = new_error()
        return bool(check(lib.pb_facts_save(self.handle, folder_fd, dir_fd, name.encode(), error), error))

    def load(self, folder_fd: int, dir_fd: int, name: str) -> bool:
        """Add what such a file says; False if there is none for this very folder, or a damaged one."""
        return bool(check(lib.pb_facts_load(self.handle, folder_fd, dir_fd, name.encode()), new_error()))
