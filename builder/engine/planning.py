"""`builder.plan`: what a build would find in the cache now. Nothing is run, fetched, written or remembered."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import BinaryIO

from builder.engine.elsewhere import Fetched, Fetcher, lies_elsewhere
from builder.engine.inputs import open_inputs
from builder.engine.opening import open_session
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.errors import StoreError, UsageError
from builder.events import Reason
from builder.remote.addresses import is_url
from builder.store.store import Store, default_store_path, open_store
from builder.value import dataclass


class Verdict(StrEnum):
    """What a build would do with a step."""

    HIT = "hit"
    MISS = "miss"
    DEPENDS = "depends"  # nobody knows before a step above was carried out, or somebody elsewhere was asked


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step that a build would come to.

    `number` counts the steps of the plan. `reasons` say why it would miss, or on what it depends (`step` is then the
    number of that step in the plan). `seconds` is how long it took the last time that it was carried out, None if nobody knows;
    of a hit, what it saves.
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


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The steps of the stages that are needed, stage by stage."""

    steps: tuple[PlannedStep, ...]

    @property
    def cached(self) -> bool:
        """Whether a build would carry out nothing."""
        return all(step.verdict is Verdict.HIT for step in self.steps)

    @property
    def seconds(self) -> float:
        """How long all that may be carried out took the last time, one after the other, as far as that is known."""
        return sum(step.seconds or 0.0 for step in self.steps if step.verdict is not Verdict.HIT)


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
    network: str = "default",
    add_hosts: Sequence[tuple[str, str]] = (),
    shm_size: int | None = None,
    ulimits: Sequence[tuple[str, int, int]] = (),
    store: str | None = None,
    stdin: BinaryIO | None = None,
    userxattr: bool = False,
) -> BuildPlan:
    """Say what `builder.build` with these arguments would find in the cache now; they are described there.

    Nothing is run, fetched, written or remembered. What only a registry or another server knows is `Verdict.DEPENDS`, and so is
    what stands on a step that would be carried out. A `BuilderError` is what a build would refuse before it begins, and a
    context that lies elsewhere.
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
            network=network,
            add_hosts=tuple(add_hosts),
            shm_size=shm_size,
            ulimits=tuple(ulimits),
            store=store,
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
    with _opened(request) as store, ExitStack() as stack:
        events, cancelled = Events(None), threading.Event()
        fetcher = _NoFetcher(store, request, events, cancelled, stack)
        inputs = open_inputs(request, store, fetcher)
        session = open_session(request, inputs, store, fetcher, events, cancelled)
        # Late: it takes all that a build takes, and a wrong request nothing of it.
        from builder.engine.foretell import Foretelling

        try:
            return BuildPlan(Foretelling(session).steps())
        finally:
            session.contexts.close()


class NotFetched(StoreError):
    """Something lies elsewhere, and a plan does not fetch it."""


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
    if os.path.exists(os.path.join(path, "secret")):
        with open_store(path, userxattr=request.userxattr, reading=True) as store:
            yield store
        return
    from tempfile import TemporaryDirectory

    with (
        TemporaryDirectory(prefix="pybuild-plan-") as folder,
        open_store(folder, userxattr=request.userxattr) as store,
    ):
        yield store
