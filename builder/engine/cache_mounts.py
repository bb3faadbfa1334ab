"""Single cache mounts as tar archives."""

from __future__ import annotations

import os
from itertools import chain
from typing import BinaryIO

from builder.core.files import remove_tree
from builder.core.tar import TarWriter
from builder.engine.session import Session
from builder.errors import CoreError, ImageError, UsageError
from builder.execute.archive import unpack_stream
from builder.execute.mounts import cache_name, shown_id
from builder.graph.steps import FromScratch, MountSpec, RunStep
from builder.image.compression import CHUNK
from builder.store.cache_mounts import find_cache_mount, has_files, in_use, opened
from builder.store.store import Store


def mounts_of(session: Session) -> dict[str, str]:
    """The ids of the cache mounts that steps of a build have, by the names of their folders.

    Those that begin with files of a stage, an image or a context stay in their store: their names mean something there only.
    """
    plans = [session.plans.planned(index) for index in session.graph.needed]
    steps = [step for plan in plans if plan is not None for step in plan.steps if isinstance(step, RunStep)]
    return {
        cache_name(mount): shown_id(mount)
        for step in steps
        for mount in step.mounts
        if mount.kind == "cache" and isinstance(mount.origin, FromScratch)
    }


def export_mount(store: Store, text: str, stream: BinaryIO) -> None:
    """Write the files of a cache mount, by id or name, as a tar. A `StoreError` if a build uses it now."""
    name = find_cache_mount(store, text)
    try:
        with in_use(store, name), opened(store, name) as fd, TarWriter(fd, layer=False) as tar:
            while chunk := tar.read(CHUNK):
                stream.write(chunk)
    except CoreError as error:
        raise ImageError(f"the cache mount cannot be written: {error.message}") from None


def import_mount(store: Store, text: str, stream: BinaryIO, *, what: str) -> None:
    """Make the files of a tar, compressed or not, those of a cache mount, in place of what it had.

    One that the store has not is made for mounts with that id and nothing else said (`mode`, `uid`, `from`, …).
    A stream without a byte is an `ImageError` and changes nothing: what was to write it has failed.
    """
    first = stream.read(CHUNK)
    if not first:
        raise ImageError(f"{what} is empty: it is no archive", hint="the cache mount is as it was")
    name = _name(store, text)
    os.makedirs(os.path.join(store.path, "caches"), mode=0o711, exist_ok=True)
    with in_use(store, name), store.new_run() as run:
        fresh = os.path.join(run.scratch, "mount")
        os.mkdir(fresh, 0o755)
        target = os.path.join(store.path, "caches", name)
        if os.path.isdir(target):
            kept = os.stat(target)
            os.chown(fresh, kept.st_uid, kept.st_gid)
            os.chmod(fresh, kept.st_mode & 0o7777)
        fd = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            unpack_stream(chain((first,), iter(lambda: stream.read(CHUNK), b"")), fd, "/", what=what)
        except CoreError as error:
            raise ImageError(f"{what} cannot be unpacked: {error.message}") from None
        finally:
            os.close(fd)
        if has_files(store, name):
            caches = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                remove_tree(caches, name.encode())
            finally:
                os.close(caches)
        os.rename(fresh, target)
        store.sizes.forget(f"caches/{name}")


def _name(store: Store, text: str) -> str:
    try:
        return find_cache_mount(store, text)
    except UsageError as error:
        if "several" in error.message:
            raise
    if not text.strip():
        raise UsageError("the cache mount needs an id")
    spec = MountSpec(
        kind="cache",
        target="/",
        origin=FromScratch(),
        read_only=False,
        id=f"/{text}",  # as the build file's reader makes it: behind an empty namespace
        mode=0o755,
    )
    name = cache_name(spec)
    store.name_cache(name, text)
    return name
