"""What a request says of the remote caches that are read: where they are, whose signatures count, what steps are called there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from builder.cache.spec import CacheSpec
from builder.engine.request import BuildRequest
from builder.image.platform import Platform
from builder.store.meter import Meter

if TYPE_CHECKING:
    from builder.cache.imported import ImportedCache

Warn = Callable[[str], None]


def shared_slot(slot: str, context: str) -> str:
    """The name of a build file on every machine: its path inside the context, or else its last part."""
    first, mark, rest = slot.partition("\n")
    if not os.path.isdir(context) or not os.path.lexists(first):
        return slot
    inside = os.path.relpath(os.path.realpath(first), os.path.realpath(context))
    return (os.path.basename(first) if inside.startswith("..") else inside) + mark + rest


def trusted_names(request: BuildRequest) -> frozenset[str] | None:
    """The names of the keys that a build trusts, its own among them; None if signatures do not count for it."""
    trusted = [path for spec in request.cache_from for path in spec.trusted]
    own = [spec.get("sign") for spec in request.cache_to if spec.get("sign")]
    if not trusted and not own:
        return None
    from builder.cache.signing import name_of, read_private, read_public

    keys = [*(read_public(path) for path in trusted), *(read_private(path).public_key() for path in own)]
    return frozenset(name_of(key) for key in keys)


def open_source(
    spec: CacheSpec, request: BuildRequest, platform: Platform, warn: Warn, meter: Meter
) -> ImportedCache:
    """A cache to read from; it is asked nothing yet. A `UsageError` if what it needs is not there."""
    from builder.cache.imported import ImportedCache
    from builder.cache.metered import MeteredPlace
    from builder.cache.place import LatePlace, Place, check_place, open_place

    check_place(spec)
    trusted = None
    if spec.trusted:
        from builder.cache.signing import read_public

        trusted = [read_public(path) for path in spec.trusted]

    def opened() -> Place:
        place = open_place(spec, docker_config=request.docker_config, auth_config=request.auth_config)
        return place if spec.type == "local" else MeteredPlace(place, meter)

    return ImportedCache(spec, LatePlace(opened), platform, warn, trusted)
