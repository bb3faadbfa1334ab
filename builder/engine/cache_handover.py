"""Handing exports of remote caches over to processes of their own, so that the command ends with its outputs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from builder.cache.spec import CacheSpec
from builder.engine.session import Session
from builder.engine.shared_steps import DoneStep, write_keys
from builder.events import Outcome
from builder.store import background
from builder.value import replace

if TYPE_CHECKING:
    from builder.engine.cache_export import CacheExport

# What says where a cache is, and nothing else.
_WHERE = ("ref", "bucket", "region", "endpoint_url", "prefix", "blobs_prefix", "manifests_prefix", "name")


def hand_over(session: Session, export: CacheExport, chain: frozenset[bytes]) -> None:
    """Let a process each write the caches that may be written later; see `builder.engine.cache_sender`.

    What fails there is told by the next build that writes a cache, and by the report of this one.
    """
    for spec in export.later:
        reporter = session.events.start(f"exporting cache to {spec} in the background", "")
        steps = [_listed(export, step) for step in export.records.chosen(spec, chain)]
        number = session.store.sendings.begin(_target(spec), str(spec))
        session.events.sendings.append(number)
        document = json.dumps(_document(session, export, spec, steps, number)).encode()
        if not _start(export, document):
            session.store.sendings.forget(number)
            session.events.warn(f"cache export failed: {spec}: no process can be started for it")
        reporter.finish(Outcome.DONE)


def _start(export: CacheExport, document: bytes) -> bool:
    # In memory alone: it may hold credentials.
    try:
        fd = os.memfd_create("pybuild-sender")
    except OSError:
        return False
    with open(fd, "r+b", buffering=0) as stream:
        stream.write(document)
        stream.seek(0)
        return background.start(
            "builder.engine.cache_sender",
            "send",
            stdin=stream,
            keeps=export.records.hand_on(),
            folder=None,  # paths of the build are seen from here
        )


def _listed(export: CacheExport, step: DoneStep) -> DoneStep:
    """A step with what its sources are, which only this process can tell."""
    last = step.shared[-1]
    if not step.takes_files or last.listing is not None:
        return step
    return replace(step, shared=(*step.shared[:-1], replace(last, listing=export.records.make_listing(step))))


def _target(spec: CacheSpec) -> str:
    """What names a cache exactly."""
    where = [spec.type, spec.scope, *(spec.get(name) for name in _WHERE)]
    return hashlib.sha256(json.dumps(where).encode()).hexdigest()


def _document(
    session: Session, export: CacheExport, spec: CacheSpec, steps: Sequence[DoneStep], number: int
) -> dict[str, Any]:
    request = session.request
    return {
        "store": session.store.path,
        "userxattr": request.userxattr,
        "number": number,
        "target": _target(spec),
        "platform": str(session.graph.platform),
        "docker_config": request.docker_config,
        "auth_config": request.auth_config,
        "to": [spec.type, dict(spec.attributes)],
        "from": [[source.type, dict(source.attributes)] for source in request.cache_from],
        "files": {str(digest): path for digest, path in export.records.files.items()},
        "steps": [
            {
                "slot": step.slot,
                "parent": step.parent.hex(),
                "key": step.record.key.hex(),
                "state": step.record.state.hex(),
                "created": step.record.created,
                "seconds": step.record.seconds,
                "size": step.record.size,
                "shared": write_keys(step.shared),
            }
            for step in steps
        ],
    }
