"""Handing exports of remote caches over to processes of their own, so that the command ends with its outputs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from builder.cache.spec import CacheSpec
from builder.engine.cache_turn import target_name
from builder.engine.session import Session
from builder.engine.shared_steps import DoneStep, write_keys
from builder.events import Outcome
from builder.store import background
from builder.value import replace

if TYPE_CHECKING:
    from builder.engine.cache_export import CacheExport


def hand_over(session: Session, export: CacheExport, chain: frozenset[bytes]) -> None:
    """Let a process each write the caches that may be written later; see `builder.engine.cache_sender`.

    What fails there is told by the next build that writes a cache, and by the report of this one.
    """
    for spec in export.later:
        reporter = session.events.start(f"exporting cache to {spec} in the background", "")
        steps = [_listed(export, step) for step in export.records.chosen(spec, chain)]
        number = session.store.sendings.begin(target_name(spec), str(spec))
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
        )


def _listed(export: CacheExport, step: DoneStep) -> DoneStep:
    """A step with what its sources are, which only this process can tell."""
    last = step.shared[-1]
    if not step.takes_files or last.listing is not None:
        return step
    return replace(step, shared=(*step.shared[:-1], replace(last, listing=export.records.make_listing(step))))


def _from_anywhere(spec: CacheSpec) -> dict[str, str]:
    """The attributes of a cache that is read, with paths that mean the same in every folder."""
    found = dict(spec.attributes)
    if found.get("src"):
        found["src"] = os.path.abspath(found["src"])
    if spec.trusted:
        found["trust"] = ";".join(map(os.path.abspath, spec.trusted))
    return found


def _document(
    session: Session, export: CacheExport, spec: CacheSpec, steps: Sequence[DoneStep], number: int
) -> dict[str, Any]:
    request = session.request
    return {
        "store": os.path.abspath(session.store.path),
        "userxattr": request.userxattr,
        "number": number,
        "target": target_name(spec),
        "platform": str(session.graph.platform),
        "docker_config": os.path.abspath(request.docker_config) if request.docker_config else None,
        "auth_config": request.auth_config,
        "to": [spec.type, dict(spec.attributes)],
        "from": [[source.type, _from_anywhere(source)] for source in request.cache_from],
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
