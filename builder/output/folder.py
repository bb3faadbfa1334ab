"""`type=local`: the root file system in a folder."""

from __future__ import annotations

import os

from builder.core.files import copy_rootfs
from builder.errors import BuilderError, CoreError


def write_folder(root_fd: int, dest: str, *, keep_owner: bool) -> None:
    """Copy the files below a descriptor into a folder, made if missing; what is there stays unless replaced.

    `keep_owner` gives files their owners in the image; only root can. `root_fd` -1 stands for no files at all.
    """
    try:
        os.makedirs(dest, exist_ok=True)
        fd = os.open(dest, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileExistsError, NotADirectoryError):
        raise BuilderError(
            f'cannot write to the folder "{dest}": a file has its place', hint="give another dest="
        ) from None
    except OSError as error:
        raise BuilderError(f'cannot write to the folder "{dest}": {error.strerror}') from None
    try:
        if root_fd >= 0:
            copy_rootfs(root_fd, fd, keep_owner=keep_owner)
    except CoreError as error:
        raise BuilderError(f'cannot write to the folder "{dest}": {error.message}') from error
    finally:
        os.close(fd)
