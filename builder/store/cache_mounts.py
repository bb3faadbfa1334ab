"""The folders of cache mounts, `caches/NAME`: what they are called by people, how large they are, and their locks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from builder.core.files import remove_tree
from builder.core.tree import Tree
from builder.errors import StoreError, UsageError
from builder.store.locks import alone
from builder.store.store import Store
from builder.value import dataclass

_NAME = 32


@dataclass(frozen=True, slots=True)
class CacheMount:
    """One folder: its `name` in the store, the `id` of its mount (empty if nobody knows), entries and bytes of its files,
    and when it was last used (seconds since 1970).
    """

    name: str
    id: str
    entries: int
    size: int
    used: float


def cache_mounts(store: Store) -> list[CacheMount]:
    """All cache mounts of a store, the largest first."""
    ids = store.cache_ids()
    found = []
    for name in _names(store):
        with opened(store, name) as fd, Tree(fd) as tree:
            entries, size, _ = tree.measure(tree.find(b""))
        used = os.stat(f"caches/{name}.lock", dir_fd=store.fd).st_mtime if _has_lock(store, name) else 0.0
        found.append(CacheMount(name, ids.get(name[:_NAME], ""), entries - 1, size, used))
    return sorted(found, key=lambda mount: (-mount.size, mount.name))


def find_cache_mount(store: Store, text: str) -> str:
    """The name of the cache mount that an id or the beginning of a name stands for; a `UsageError` if there is not one."""
    ids = store.cache_ids()
    names = [
        name
        for name in _names(store)
        if ids.get(name[:_NAME]) == text or (len(text) >= 4 and name.startswith(text))
    ]
    if not names:
        raise UsageError(
            f'the store has no cache mount "{text}"', hint="pybuild cache mounts ls lists what is there"
        )
    if len(names) > 1:
        raise UsageError(
            f'several cache mounts are called "{text}": {", ".join(name[:12] for name in names)}',
            hint="give the beginning of a name",
        )
    return names[0]


def remove_cache_mount(store: Store, name: str) -> None:
    """Remove a cache mount; a `StoreError` if a build uses it now."""
    with in_use(store, name), _caches(store) as caches:
        remove_tree(caches, name.encode())
        store.sizes.forget(f"caches/{name}")


@contextmanager
def in_use(store: Store, name: str) -> Iterator[None]:
    """Hold the lock of a cache mount that no step holds; a `StoreError` if one does."""
    fds = []
    try:
        # Steps that share a cache hold its folder, those that do not share it the file beside it.
        fds.append(
            os.open(f"caches/{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=store.fd)
        )
        if os.path.isdir(os.path.join(store.path, "caches", name)):
            fds.append(_folder(store, name))
        if not all(alone(fd) for fd in fds):
            raise StoreError(
                f"the cache mount {name[:12]} is used by a build", hint="try again when that is done"
            )
        yield
    finally:
        for fd in fds:
            os.close(fd)


@contextmanager
def opened(store: Store, name: str) -> Iterator[int]:
    """A descriptor of the folder of a cache mount."""
    fd = _folder(store, name)
    try:
        yield fd
    finally:
        os.close(fd)


def _folder(store: Store, name: str) -> int:
    return os.open(
        f"caches/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=store.fd
    )


def has_files(store: Store, name: str) -> bool:
    """Whether a cache mount is there and not empty."""
    try:
        with opened(store, name) as fd:
            return bool(os.listdir(fd))
    except OSError:
        return False


@contextmanager
def _caches(store: Store) -> Iterator[int]:
    fd = os.open("caches", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
    try:
        yield fd
    finally:
        os.close(fd)


def _names(store: Store) -> list[str]:
    try:
        with _caches(store) as fd:
            return sorted(name for name in os.listdir(fd) if not name.endswith(".lock"))
    except FileNotFoundError:
        return []


def _has_lock(store: Store, name: str) -> bool:
    try:
        os.stat(f"caches/{name}.lock", dir_fd=store.fd)
    except OSError:
        return False
    return True
