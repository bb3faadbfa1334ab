"""One build, from request to result. This module reads like a table of contents."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from builder.engine.account import ending, judged, required_by, tell_stages, traffic_of
from builder.engine.advice import give_advice
from builder.engine.control import tell_unused_filters
from builder.engine.deliver import check_outputs, deliver
from builder.engine.elsewhere import Fetcher
from builder.engine.inputs import open_inputs
from builder.engine.opening import check_caches, open_session
from builder.engine.recording import Recording
from builder.engine.reporter import Emit, Events
from builder.engine.request import BuildRequest, Output, outputs_of
from builder.engine.result import BuildResult
from builder.engine.schedule import Stages
from builder.engine.session import Session
from builder.engine.stage import StageResult, run_stage
from builder.errors import CacheLostError, DamageError
from builder.events import Traffic
from builder.store.store import default_store_path, open_store
from builder.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.engine.assemble import Assembled

Delivered = Callable[[BuildResult], None]
_MOST_DAMAGES = 20


def run_build(
    request: BuildRequest, emit: Emit | None, cancelled: threading.Event, delivered: Delivered | None = None
) -> BuildResult:
    """Build what `request` asks for.

    Every event goes to `emit`; setting `cancelled` stops the build. Errors are `BuilderError`s; what was finished
    before one stays in the store. `delivered` is told of the result when the outputs are done, whatever is still to be sent to
    remote caches.
    """
    begin = time.monotonic()
    events = Events(emit)
    result: BuildResult | None = None
    traffic = Traffic()
    try:
        outputs = outputs_of(request)
        check_outputs(outputs, request.tags)
        required = required_by(request)
        check_caches(request)
        with (
            open_store(request.store or default_store_path(), userxattr=request.userxattr) as store,
            Recording(store, request, events, begin) as recording,
            ExitStack() as stack,
        ):
            fetcher = Fetcher(store, request, events, cancelled, stack)
            inputs = open_inputs(request, store, fetcher)
            session = open_session(request, inputs, store, fetcher, events, cancelled)
            try:
                tell_stages(session, required)
                session.plans.refuse(request.network, request.allow, pull=request.pull)
                give_advice(session)
                recording.session = session  # what was refused before is no build
                made = _carry_out(
                    session,
                    outputs,
                    lambda made: _tell(session, made, time.monotonic() - begin, delivered),
                )
                tell_unused_filters(session)
            finally:
                for early in session.early:  # of a build that failed
                    early.stop()
                session.contexts.close()
                if session.remote is not None:
                    session.remote.close()
                store.flush(wait=request.wait)
                traffic = traffic_of(store, events)
            result = _result(session, made, time.monotonic() - begin, traffic)
            if session.verified:
                # Stages run side by side: the order is that of the build file.
                verified = sorted(session.verified, key=lambda step: step.line)
                result = replace(result, verified=tuple(verified))
            if required:
                result = judged(session, result, required)
            recording.result = result
    finally:
        events.send(ending(result, time.monotonic() - begin, traffic, events.build))
    return replace(result, build=events.build)


def _carry_out(
    session: Session, outputs: tuple[Output, ...], delivered: Callable[[Assembled | None], None]
) -> Assembled | None:
    """Run all stages and deliver; begun again, with what is done by then, if a remote cache breaks its promises, or files of
    the store turn out to be damaged.
    """
    caches, damages = len(session.request.cache_from), _MOST_DAMAGES
    while True:
        try:
            target = _run_stages(session)
            for early in session.early:
                early.finish(session.check)
            session.early.clear()
            made = deliver(session, target, outputs)
            delivered(made)
            if session.request.cache_to:
                from builder.engine.cache_export import export_caches

                export_caches(session, target)
            if session.store.meter.traffic.written:
                from builder.engine.room import keep_limit

                keep_limit(session)
            return made
        except DamageError:
            # What was damaged is dropped, so that it is made anew.
            damages -= 1
            if damages < 0:
                raise
        except CacheLostError:
            # Each time a cache less is trusted; the last one is that of promises whose cache is not read any more.
            if caches < 0:
                raise
            caches -= 1


def _run_stages(session: Session) -> StageResult:
    session.stood.clear()
    session.verified.clear()
    stages = Stages(lambda index: run_stage(session, index, stages.result), session.cancelled)
    result = stages.run(session.graph.needed, session.graph.target)
    if session.request.verify:
        from builder.engine.verify import check_names

        check_names(session.request.verify, session.stood)
    return result


def _tell(session: Session, made: Assembled | None, seconds: float, delivered: Delivered | None) -> None:
    if delivered is not None:
        delivered(_result(session, made, seconds, traffic_of(session.store, session.events)))


def _result(session: Session, made: Assembled | None, seconds: float, traffic: Traffic) -> BuildResult:
    steps = tuple(session.events.finished)
    if made is None:
        return BuildResult("", "", (), steps, seconds, traffic=traffic)
    image = made.image
    names = session.request.tags
    metadata = {
        "containerimage.config.digest": str(image.config),
        "containerimage.digest": str(image.manifest),
        "containerimage.descriptor": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": str(image.manifest),
            "size": session.store.blobs.size(image.manifest),
        },
    }
    if names:
        metadata["image.name"] = ",".join(names)
    return BuildResult(
        str(image.config),
        str(image.manifest),
        names,
        steps,
        seconds,
        metadata,
        layers=made.layers,
        traffic=traffic,
    )
