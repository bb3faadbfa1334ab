"""Where steps and containers work: an overlay on the store's file system, and what that has to be able to do."""

from __future__ import annotations

import errno
import os

from builder.core.process import overlay_mount
from builder.errors import CoreError, StoreError
from builder.store.runs import Run
from builder.store.store import Store

HINT = "keep the store on ext4, xfs, btrfs or tmpfs, in a container on a volume: set PYBUILD_STORE or give --store"

_UNFIT = frozenset({"overlay", "ramfs", "nfs", "nfs4", "9p", "cifs", "smb3", "vfat", "exfat"})


def mount_run(store: Store, run: Run, lowers: list[str]) -> int:
    """A detached mount of snapshots (see `Store.lowers`) in which a run changes what it likes; its descriptor.

    Raises `StoreError` where the file system of the store is not made for that.
    """
    _check_marks(store, run)
    try:
        return overlay_mount(store.fd, lowers, run.upper, run.work, userxattr=store.userxattr)
    except CoreError as error:
        if error.errno == errno.EINVAL and _mounts_none(store, run):
            raise _unfit(store, f"no overlay can be mounted there ({os.strerror(errno.EINVAL)})") from error
        raise


def _check_marks(store: Store, run: Run) -> None:
    """See that a folder takes the attributes that mark what was removed. Without them an overlay can be mounted, and fails
    once a folder takes the place of another.
    """
    fd = os.open(run.work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
    try:
        os.setxattr(fd, "user.pybuild" if store.userxattr else "trusted.pybuild", b"y")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise _unfit(store, "it keeps no extended attributes") from error
    finally:
        os.close(fd)


def _mounts_none(store: Store, run: Run) -> bool:
    """Whether not even empty folders can be stacked where the run is."""
    empty = f"runs/{run.name}/scratch"
    try:
        os.close(overlay_mount(store.fd, [empty], run.upper, run.work, userxattr=store.userxattr))
    except CoreError:
        return True
    return False


def _unfit(store: Store, reason: str) -> StoreError:
    kind = kind_of(store.fd)
    text = f"steps cannot work on the file system of the store{kind and f' ({kind})'}: {reason}"
    return StoreError(f"{text}: {store.path}", hint=HINT)


def is_unfit(kind: str) -> bool:
    """Whether file systems of a kind are known to take no overlay, or none that works."""
    return kind in _UNFIT or kind.startswith("fuse")


def kind_of(place: int | str) -> str:
    """The name of a file system by something on it, empty if it cannot be told (proc(5), mountinfo)."""
    device = os.stat(place).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                words = line.split()
                if words[2] == wanted:
                    return words[words.index("-") + 1]
    except (OSError, IndexError, ValueError):
        pass
    return ""
