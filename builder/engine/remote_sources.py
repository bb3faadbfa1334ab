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
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from builder.cache.imported import ImportedCache

Warn = Callable[[str], None]


def shared_slot(slot: str, context: str) -> str:
    """The name of a build file on every machine: its path inside the context, or else its last part."""
    first, mark, rest = slot.partition("\n")
    if not os.path.isdir(context) or not os.path.lexists(first):
        return slot
    inside = os.path.relpath(os.path.realpath(first), os.path.realpath(context))
    return (os.path.basename(first) if inside.startswith("..") else inside) + mark + rest


def open_sources(
    request: BuildRequest, platform: Platform, warn: Warn, meter: Meter
) -> tuple[list[ImportedCache], frozenset[str] | None]:
    """The caches to read from, which are asked nothing yet, and the names of the keys that a build trusts, its own among them;
    None if signatures do not count for it. Where they do, one of these keys must have signed a cache that names none itself.
    A `UsageError` if what a cache needs is not there.
    """
    keys = _trusted_keys(request)
    sources = [_open_source(spec, request, platform, warn, meter, keys) for spec in request.cache_from]
    if keys is None:
        return sources, None
    from builder.cache.signing import name_of

    return sources, frozenset(map(name_of, keys))


def _trusted_keys(request: BuildRequest) -> list[Ed25519PublicKey] | None:
    trusted = [path for spec in request.cache_from for path in spec.trusted]
    own = [spec.get("sign") for spec in request.cache_to if spec.get("sign")]
    if not trusted and not own:
        return None
    from builder.cache.signing import read_private, read_public

    return [*(read_public(path) for path in trusted), *(read_private(path).public_key() for path in own)]


def _open_source(
    spec: CacheSpec,
    request: BuildRequest,
    platform: Platform,
    warn: Warn,
    meter: Meter,
    trusted: list[Ed25519PublicKey] | None,
) -> ImportedCache:
    """A cache to read from; `trusted` are the keys that count if it names none."""
    from builder.cache.imported import ImportedCache
    from builder.cache.metered import MeteredPlace
    from builder.cache.place import LatePlace, Place, check_place, open_place

    check_place(spec)
    if spec.trusted:
        from builder.cache.signing import read_public

        trusted = [read_public(path) for path in spec.trusted]

    def opened() -> Place:
        place = open_place(spec, docker_config=request.docker_config, auth_config=request.auth_config)
        return place if spec.type == "local" else MeteredPlace(place, meter)

    return ImportedCache(spec, LatePlace(opened), platform, warn, trusted)
