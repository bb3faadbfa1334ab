"""`builder.plan`: what a build would find in the cache now. Nothing is run, fetched, written or remembered."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import BinaryIO

from builder.engine.control import tell_unused_filters
from builder.engine.elsewhere import Fetched, Fetcher, lies_elsewhere
from builder.engine.inputs import open_inputs
from builder.engine.opening import check_caches, open_session
from builder.engine.remote_sources import shared_slot
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.errors import NotFetched, UsageError
from builder.events import Reason
from builder.remote.addresses import is_url
from builder.store.store import Store, default_store_path, open_store
from builder.value import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.cache.spec import CacheSpec


class Verdict(StrEnum):
    """What a build would do with a step."""

    HIT = "hit"
    FETCH = "fetch"  # an image that is not in the store: only layers that something needs would be fetched
    MISS = "miss"
    DEPENDS = "depends"  # nobody knows before a step above was carried out, or somebody elsewhere was asked


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step that a build would come to.

    `number` counts the steps of the plan. `slot` names the step across builds and machines. `reasons` say why it would miss,
    or on what it depends (`step` is then the number of that step in the plan). `seconds` is how long it took the last time that
    it was carried out, None if nobody knows; of a hit, what it saves. `origin` is the remote cache that a hit is from, empty for
    the store's own.
    """

    number: int
    title: str
    stage: str
    line: int
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    seconds: float | None = None
    slot: str = ""
    key: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The steps of the stages that are needed, stage by stage, and what a build would warn of by then."""

    steps: tuple[PlannedStep, ...]
    warnings: tuple[str, ...] = ()

    @property
    def cached(self) -> bool:
        """Whether a build would carry out nothing."""
        return all(step.verdict in (Verdict.HIT, Verdict.FETCH) for step in self.steps)

    @property
    def seconds(self) -> float:
        """How long all that may be carried out took the last time, one after the other, as far as that is known."""
        return sum(
            step.seconds or 0.0 for step in self.steps if step.verdict in (Verdict.MISS, Verdict.DEPENDS)
        )


def plan(
    context: str = ".",
    *,
    file: str | None = None,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    build_contexts: Mapping[str, str] | None = None,
    platform: str | None = None,
    no_cache: bool = False,
    no_cache_filter: Sequence[str] = (),
    pull: bool = False,
    reproducible: bool = False,
    cache_from: Sequence[CacheSpec] = (),
    network: str = "default",
    allow: Sequence[str] = (),
    add_hosts: Sequence[tuple[str, str]] = (),
    shm_size: int | None = None,
    ulimits: Sequence[tuple[str, int, int]] = (),
    store: str | None = None,
    docker_config: str | None = None,
    auth_config: str | None = None,
    stdin: BinaryIO | None = None,
    userxattr: bool = False,
) -> BuildPlan:
    """Say what `builder.build` with these arguments would find in the cache now; they are described there.

    Nothing is run, written or remembered. What only a registry or another server knows is `Verdict.DEPENDS`, and so is
    what stands on a step that would be carried out. With `cache_from` the records of those caches are read, and of images that
    the store lacks the documents, but no layer of either (`Verdict.FETCH`). A `BuilderError` is what a build would refuse before
    it begins, and a context that lies elsewhere.
    """
    return plan_build(
        BuildRequest(
            context=context,
            file=file,
            target=target,
            build_args=dict(build_args or {}),
            build_contexts=dict(build_contexts or {}),
            platform=platform,
            no_cache=no_cache,
            no_cache_filter=tuple(no_cache_filter),
            pull=pull,
            reproducible=reproducible,
            cache_from=tuple(cache_from),
            network=network,
            allow=tuple(allow),
            add_hosts=tuple(add_hosts),
            shm_size=shm_size,
            ulimits=tuple(ulimits),
            store=store,
            docker_config=docker_config,
            auth_config=auth_config,
            stdin=stdin,
            userxattr=userxattr,
        )
    )


def plan_build(request: BuildRequest) -> BuildPlan:
    """The plan of a build; a `BuilderError` for what a build would refuse before it begins."""
    if lies_elsewhere(request.context):
        raise UsageError(
            "a plan fetches nothing: its context must be a folder of this machine",
            hint="fetch it first, and give the folder",
        )
    if request.file is not None and is_url(request.file):
        raise UsageError("a plan fetches nothing: its build file must be on this machine")
    check_caches(request)
    with _opened(request) as store, ExitStack() as stack:
        events, cancelled = Events(None), threading.Event()
        fetcher = _NoFetcher(store, request, events, cancelled, stack)
        inputs = open_inputs(request, store, fetcher)
        session = open_session(request, inputs, store, fetcher, events, cancelled)
        # Late: it takes all that a build takes, and a wrong request nothing of it.
        from builder.engine.foretell import Foretelling

        try:
            steps = Foretelling(session).steps()
            session.plans.refuse(request.network, request.allow)
            tell_unused_filters(session)
        finally:
            session.contexts.close()
            if session.remote is not None:
                session.remote.close()
        steps = tuple(replace(step, slot=shared_slot(step.slot, request.context)) for step in steps)
        return BuildPlan(steps, tuple(warned.message for warned in events.warnings if not warned.place))


class _NoFetcher(Fetcher):
    def fetch(self, source: str, title: str) -> Fetched:
        """Refuse."""
        del title
        raise NotFetched(f"only a build asks what is at {source}")


@contextmanager
def _opened(request: BuildRequest) -> Iterator[Store]:
    """The store of a request, only to be looked at; an empty one for the time being where there is none."""
    import os

    path = request.store or default_store_path()
    aside = bool(request.cache_from)  # what the caches have is told to a copy of the database
    with ExitStack() as stack:
        reading = os.path.exists(os.path.join(path, "secret"))
        if not reading:
            from tempfile import TemporaryDirectory

            path = stack.enter_context(TemporaryDirectory(prefix="pybuild-plan-"))
            if aside:
                open_store(path).close()
        with open_store(path, userxattr=request.userxattr, reading=reading or aside, aside=aside) as store:
            yield store
