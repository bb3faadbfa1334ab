"""What stands before the first step: the stages of the build file as the request wants them, and what they share."""

from __future__ import annotations

import os
import threading

from builder.buildfile.syntax import EMPTY_LINE
from builder.engine.contexts import Contexts
from builder.engine.elsewhere import Fetcher
from builder.engine.inputs import Inputs
from builder.engine.plans import Plans
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.engine.resolving import resolve_request
from builder.engine.session import Session
from builder.graph.arguments import EARLIEST, EPOCH
from builder.graph.plan import PlanOptions
from builder.graph.stages import Graph
from builder.store.store import Store


def graph_of(request: BuildRequest, inputs: Inputs) -> Graph:
    """The stages of the build file as the request wants them."""
    build_args = request.build_args
    if inputs.seconds:
        build_args = {**build_args, EPOCH: str(inputs.seconds)}

    graph = resolve_request(request, inputs.file, build_args)
    if request.reproducible and graph.epoch is None:
        graph = resolve_request(request, inputs.file, {**build_args, EPOCH: str(EARLIEST)})
    return graph


def open_session(
    request: BuildRequest,
    inputs: Inputs,
    store: Store,
    fetcher: Fetcher,
    events: Events,
    cancelled: threading.Event,
) -> Session:
    """What the stages of a build share; mistakes of the build file that can be known by now are raised."""
    store.proofs.warn = events.warn
    graph = graph_of(request, inputs)
    for message, span in graph.warnings:
        if message != EMPTY_LINE:  # the checks tell of those
            events.warn(message, f"{graph.file.name}:{span.line}" if span else "")
    plans = Plans(graph, PlanOptions(network=request.network), inputs.layouts)
    plans.foresee(store)
    remote = None
    if request.cache_from or request.cache_to:
        # Late: most builds have no remote cache.
        from builder.engine.remote_cache import RemoteCache

        remote = RemoteCache(store, request, graph.platform, inputs.slot, events, cancelled)
        for late in store.sendings.untold() if request.cache_to and events.heard else ():
            build = f" (of build {late.build})" if late.build else ""
            events.warn(f"an earlier cache export failed{build}: {late.place}: {late.failure}")
    session = Session(
        request=request,
        inputs=inputs,
        store=store,
        graph=graph,
        plans=plans,
        contexts=Contexts(
            store,
            inputs.folders,
            lambda name, address: fetcher.fetch(address, f"[context {name}] load from elsewhere").path,
        ),
        events=events,
        cancelled=cancelled,
        remote=remote,
        workers=threading.BoundedSemaphore(request.jobs or os.cpu_count() or 1),
    )
    store.check = session.check
    return session


def check_caches(request: BuildRequest) -> None:
    """Refuse remote caches that cannot be meant, before anything is built."""
    if request.cache_from or request.cache_to:
        from builder.cache.spec import check_cache_from, check_cache_to

        for spec in request.cache_from:
            check_cache_from(spec)
        for spec in request.cache_to:
            check_cache_to(spec)
