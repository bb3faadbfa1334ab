"""A process that writes one remote cache when the command that wanted it has ended; see `builder.engine.cache_handover`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from builder.cache.spec import CacheSpec
from builder.digest import parse_digest
from builder.engine.cache_export import CacheExport, failure_of, require_whole
from builder.engine.cache_upload import Limits
from builder.engine.remote_cache import RemoteCache
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.engine.shared_steps import DoneStep, SharedKey, read_keys
from builder.errors import BuilderError
from builder.image.platform import parse_platform
from builder.store.locks import alone
from builder.store.records import Record
from builder.store.states import SCRATCH
from builder.store.store import Store, open_store
from builder.value import replace

_POLITENESS = 19
_LOOK = 0.2
# Nobody waits; but one that takes so long will never end.
_LONGEST = 3600.0
_RECORDS = 120.0


def send() -> None:
    """Do what standard input says, at the lowest priority. A failure is remembered by the store, and told by the next build."""
    os.nice(_POLITENESS)
    handed = json.load(sys.stdin.buffer)
    try:
        with open_store(handed["store"], userxattr=handed["userxattr"], make=False) as store:
            failure = ""
            try:
                states = {bytes.fromhex(fields["state"]) for fields in handed["steps"]}
                held = frozenset(state for state in states if _hold(store, state))
                if _own_turn(store, handed["target"], handed["number"]):
                    _send(store, handed, held)
                    _require_held(held, states)
            except Exception as error:  # whatever a place's library raises
                failure = failure_of(error)
            store.sendings.end(handed["number"], failure)
    except (BuilderError, OSError):
        pass  # the store is gone, or its disk is full or broken: the next build sends it


def _own_turn(store: Store, target: str, number: int) -> bool:
    """Wait for an earlier process that writes to the same target; False if a later one will take this one's place."""
    # Held until the process ends.
    lock = os.open(
        f"locks/sender-{target[:2]}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=store.fd
    )
    while store.sendings.is_newest(number) and store.sendings.last_written(target) < number:
        if alone(lock):
            return True
        time.sleep(_LOOK)
    return False


def _require_held(held: frozenset[bytes], states: set[bytes]) -> None:
    if missing := len(states - held):
        raise BuilderError(
            f"the files of {missing} of {len(states)} steps were removed from the store before they could be sent"
        )


def _send(store: Store, handed: Mapping[str, Any], held: frozenset[bytes]) -> None:
    """Write the records of the steps whose states are held."""
    request = BuildRequest(
        cache_from=tuple(CacheSpec(kind, attributes) for kind, attributes in handed["from"]),
        cache_to=(CacheSpec(handed["to"][0], handed["to"][1]),),
        docker_config=handed["docker_config"],
        auth_config=handed["auth_config"],
    )
    remote = RemoteCache(store, request, parse_platform(handed["platform"]), "", Events(None))
    export = remote.export
    assert export is not None
    try:
        export.uploads[0].turn.take(handed["number"])
        export.records.files.update({parse_digest(digest): path for digest, path in handed["files"].items()})
        steps = [_step(remote, fields) for fields in handed["steps"]]
        for step in steps:
            if step.record.state in held:
                export.add(step)
        _finish(export, held)
    finally:
        remote.close()


def _finish(export: CacheExport, chain: frozenset[bytes]) -> None:
    (upload,) = export.uploads
    trial = upload.target.spec.timeout
    require_whole(*export.finish(upload, chain, limits=Limits(_LONGEST, trial, _RECORDS)))


def _hold(store: Store, state: bytes) -> bool:
    """Keep a state until this process ends; False if it is gone."""
    return state == SCRATCH or store.states.get(state) is not None


def _step(remote: RemoteCache, fields: Mapping[str, Any]) -> DoneStep:
    shared = read_keys(fields["shared"])
    assert shared is not None
    key = bytes.fromhex(fields["key"])
    record = Record(
        key=key,
        state=bytes.fromhex(fields["state"]),
        slot=fields["slot"],
        parts=(),
        created=fields["created"],
        seconds=fields["seconds"],
        size=fields["size"],
    )
    return DoneStep(
        fields["slot"], bytes.fromhex(fields["parent"]), record, shared, partial(_forget, remote, key, shared)
    )


def _forget(remote: RemoteCache, key: bytes, shared: tuple[SharedKey, ...], _path: str) -> bool:
    """What the sources were was made for another cache and cannot be told any more: the next build is to make it anew."""
    remote.remember_key(key, (*shared[:-1], replace(shared[-1], listing=None)))
    return False
