"""Exports of one store to one cache: in whatever order they end, the records of the last that began stay there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable

from builder.cache.spec import CacheSpec
from builder.store.locks import locked
from builder.store.store import Store

# What says where a cache is, and nothing else.
_WHERE = ("bucket", "region", "endpoint_url", "prefix", "blobs_prefix", "manifests_prefix", "name")


class Turn:
    """The place of one export among all that the store's builds write to one cache; made before it is looked at what is there."""

    def __init__(self, store: Store, spec: CacheSpec) -> None:
        self._store, self._spec = store, spec
        self._target = target_name(spec)
        self._given = self._number = 0
        self._before = store.sendings.last_written(self._target)

    def take(self, number: int) -> None:
        """It began before, as a sending of the store with that number."""
        self._given = number

    def begin(self) -> None:
        """It begins now: later than all that did before."""
        self._number = self._given or self._store.sendings.reserve(self._target, str(self._spec))

    def write(self, put: Callable[[], object], check: Callable[[], None], *, same: bool) -> None:
        """Let records be put there by `put`, by one export at a time, unless those of a later one are there.

        `same` says that they are those that were there when this export looked. `check` is asked while it waits for others, and
        raises what is to end that.
        """
        sendings = self._store.sendings
        with locked(self._store.fd, f"records-{self._target[:2]}", check):
            last = sendings.last_written(self._target)
            if last > self._number:
                return
            if not same or last != self._before:
                put()
            sendings.wrote(self._target, self._number)


def target_name(spec: CacheSpec) -> str:
    """What names a cache exactly: hexadecimal digits."""
    where = [spec.type, spec.scope, *(spec.get(name) for name in _WHERE)]
    if spec.type == "local":
        where += [os.path.realpath(spec.get("dest")), spec.tag]
    if spec.type == "registry":
        from builder.image.reference import parse_reference

        where.append(str(parse_reference(spec.get("ref"))))
    return hashlib.sha256(json.dumps(where).encode("utf-8", "surrogateescape")).hexdigest()
