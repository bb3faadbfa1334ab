"""`builder.doctor`: what works on this machine, whether a store is sound, and putting it right."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from builder.engine.repair import repair
from builder.errors import BuilderError
from builder.image.platform import host_platform
from builder.sandbox.ways import detect_ways
from builder.store.checkup import (
    damaged_blobs,
    faults,
    missing_snapshots,
    named_images,
    nameless,
    set_aside,
)
from builder.store.grounds import HINT, is_unfit, kind_of
from builder.store.store import Store, default_store_path, open_store
from builder.value import dataclass

_LITTLE = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `state` is `ok`, `note`, `mended` or `problem`, `hint` says what to do about a problem."""

    state: str
    about: str
    text: str
    hint: str = ""


def doctor(*, store: str | None = None, mend: bool = False, userxattr: bool = False) -> tuple[Finding, ...]:
    """Look whether this machine can build, and whether a store is sound. All blobs are read.

    Args:
        store: The store's folder; default is the user's own.
        mend: Put right what can be: blobs that are damaged are dropped or made anew, rows and files without a partner go, and a
            damaged database is set aside, with the images that the store's layout names brought back.
        userxattr: The process is root of a user namespace (`builder.sandbox.ways.enter`).

    Returns:
        What was found, in the order in which it was looked for.
    """
    path = store or default_store_path()
    return (*_machine(path, userxattr), *_store(path, mend=mend, userxattr=userxattr))


# --- the machine


def _machine(path: str, userxattr: bool) -> Iterator[Finding]:
    ways = detect_ways()
    works = [way.name for way in ways if way.works]
    if works or userxattr:
        yield Finding("ok", "isolation", f"{works[0] if works else 'rootless'} works")
    else:
        nearest = ways[0] if os.geteuid() == 0 else ways[-1]
        yield Finding("problem", "isolation", f"{nearest.name} does not work: {nearest.reason}", nearest.hint)
    if _has_overlay():
        yield Finding("ok", "overlay", "the kernel has it")
    else:
        yield Finding(
            "problem", "overlay", "the kernel has no overlay file system", "modprobe overlay (as root)"
        )
    if shutil.which("git"):
        yield Finding("ok", "git", "is there")
    else:
        yield Finding("note", "git", "is not there: contexts and ADD cannot be repositories", "install git")
    place = path
    while not os.path.isdir(place):
        place = os.path.dirname(place) or "/"
    kind = kind_of(place)
    if is_unfit(kind):
        yield Finding("problem", "file system", f"the store is on {kind}, where no step can work", HINT)
    free = shutil.disk_usage(place).free
    state = "note" if free < _LITTLE else "ok"
    yield Finding(state, "room", f"{free / 1e9:.1f} GB are free", "pybuild prune" if state == "note" else "")


def _has_overlay() -> bool:
    try:
        with open("/proc/filesystems") as stream:
            return any(line.split()[-1:] == ["overlay"] for line in stream)
    except OSError:
        return False


# --- the store


def _store(path: str, *, mend: bool, userxattr: bool) -> Iterator[Finding]:
    if not os.path.lexists(os.path.join(path, "secret")) and not os.path.lexists(
        os.path.join(path, "pybuild.db")
    ):
        yield Finding("ok", "store", f"{path} is not there yet")
        return
    try:
        with open_store(path, userxattr=userxattr, reading=not mend) as store:
            wrong = faults(store.database)
            if not wrong:
                yield Finding("ok", "database", "is sound")
                yield from _contents(store, mend=mend)
                return
            problem = Finding("problem", "database", f"is damaged: {wrong[0]}", "pybuild doctor --mend")
    except BuilderError as error:
        hint = "pybuild doctor --mend" if "damaged" in error.message else error.hint or ""
        problem = Finding("problem", "store", error.message, hint)
    if not mend or "damaged" not in problem.text:
        yield problem
        return
    yield from _begin_anew(path, problem, userxattr)


def _begin_anew(path: str, problem: Finding, userxattr: bool) -> Iterator[Finding]:
    """Go on with an empty database, and bring the images back that the store's layout names."""
    images = named_images(path)
    try:
        folder = set_aside(path)
    except BuilderError as error:
        yield Finding("problem", problem.about, f"{problem.text}; {error.message}", error.hint or "")
        return
    yield Finding(
        "mended", problem.about, f"{problem.text}; it is in {folder} now, and the cache begins anew"
    )
    from builder.store.importing import import_image
    from builder.store.layouts import LayoutSource

    with open_store(path, userxattr=userxattr) as store:
        for name, digest in images:
            try:
                image = import_image(store, LayoutSource(f"{path}@{digest}"), platform=host_platform())
            except BuilderError as error:
                yield Finding("problem", "image", f"{name} is lost: {error.message}", "build it, or pull it")
            else:
                store.images.tag(image, name)
                yield Finding("mended", "image", f"{name} is back")
        yield from _contents(store, mend=True)


def _contents(store: Store, *, mend: bool) -> Iterator[Finding]:
    damaged = list(damaged_blobs(store))
    for digest in damaged if mend else ():
        store.proofs.drop(digest)
    if damaged:
        text = f"{len(damaged)} of them have other bytes than their names say: " + ", ".join(
            digest.short for digest in damaged[:5]
        )
        yield _found(mend, "blobs", f"{text}{'; they are gone' if mend else ''}")
    else:
        yield Finding("ok", "blobs", "all have the bytes that their names say")
    yield from _images(store, mend=mend)
    yield from _leftovers(store, mend=mend)


def _images(store: Store, *, mend: bool) -> Iterator[Finding]:
    images = store.images.all()
    wrong = 0
    for image in images:
        name = ", ".join(image.names) or image.config.short
        try:
            lacking = [
                layer.digest for layer in store.manifest_of(image).layers if not store.blobs.has(layer.digest)
            ]
            store.read_blob(image.config)
            if lacking and not mend:
                raise BuilderError(f"it lacks the layer {lacking[0].short}")
            if lacking:
                repair(store, image)
                yield Finding("mended", "image", f"{name} has all its layers again")
        except BuilderError as error:
            wrong += 1
            yield Finding(
                "problem", "image", f"{name}: {error.message}", error.hint or "pybuild doctor --mend"
            )
    if not wrong:
        yield Finding("ok", "images", f"{len(images)}, with all their layers")


def _leftovers(store: Store, *, mend: bool) -> Iterator[Finding]:
    missing, more = missing_snapshots(store), nameless(store)
    if not missing and not more:
        yield Finding("ok", "files", "nothing is missing, and nothing is too much")
        return
    freed = None
    if mend:
        from builder.store.lost import sweep_lost

        freed = sweep_lost(store)
    if missing:
        text = f"the files of {missing} steps or layers are missing: they count as not built"
        yield Finding("mended" if freed is not None else "note", "files", text)
    if more:
        text = f"{more} snapshots and blobs that nothing names"
        if freed is not None:
            yield Finding("mended", "files", f"{text} are gone: {freed / 1e6:.1f} MB")
        else:
            yield Finding(
                "note",
                "files",
                f"{text}: of builds that run now, or of killed ones",
                "the next pybuild prune removes them",
            )


def _found(mend: bool, about: str, text: str) -> Finding:
    return (
        Finding("mended", about, text) if mend else Finding("problem", about, text, "pybuild doctor --mend")
    )
