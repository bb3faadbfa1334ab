"""What a build leaves in the history: itself and its steps, however it ended."""

from __future__ import annotations

import os
import time
from types import TracebackType

from builder.engine.account import stage_nodes, traffic_of
from builder.engine.elsewhere import lies_elsewhere
from builder.engine.inputs import STREAM
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.engine.result import BuildResult
from builder.engine.session import Session
from builder.errors import BuilderError, Cancelled, CommandError, StoreError
from builder.events import Outcome
from builder.remote.addresses import without_password
from builder.store.details import Detail, Failure
from builder.store.history import Build, BuildStep
from builder.store.store import Store
from builder.value import fields


class Recording:
    """Keeps a build in the history of its store when it ends; `events.build` is then its number.

    A build that fails before anything began (no such context, a build file that does not parse) is none.
    """

    def __init__(self, store: Store, request: BuildRequest, events: Events, begun: float) -> None:
        """`begun` is `time.monotonic()` at the beginning."""
        self._store, self._request, self._events = store, request, events
        self._begun = begun
        self._started = time.time() - (time.monotonic() - begun)
        self.session: Session | None = None
        self.result: BuildResult | None = None

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.session is None and not self._events.started:
            return
        try:
            self._events.build = self._store.history.add(
                self._build(error), self._steps(), self._detail(error)
            )
            if self._events.sendings:
                self._store.sendings.belong(self._events.sendings, self._events.build)
        except StoreError as unwritten:
            self._events.warn(f"this build is not in the history: {unwritten.message}")

    def _build(self, error: BaseException | None) -> Build:
        request, session = self._request, self.session
        outcomes = [step.outcome for step in self._events.finished]
        outcome = "done" if error is None else "cancelled" if isinstance(error, Cancelled) else "failed"
        message = error.message if isinstance(error, BuilderError) else str(error or "")
        return Build(
            started=self._started,
            seconds=time.monotonic() - self._begun,
            outcome=outcome,
            error=message,
            file=_file_name(session) if session else "",
            context=context_name(request),
            target=request.target or "",
            stages=_stages(session) if session else (),
            platform=str(session.graph.platform) if session else "",
            image=self.result.image_id if self.result else "",
            names=self.result.names if self.result else (),
            hits=outcomes.count(Outcome.HIT),
            misses=outcomes.count(Outcome.MISS),
            saved=sum(step.saved for step in self._events.finished),
            counters=self._counters(),
        )

    def _counters(self) -> dict[str, int]:
        """Bytes that were moved, and of what size the image is; what is 0 is left out."""
        moved = traffic_of(self._store, self._events)
        sums = {item.name: getattr(moved, item.name) for item in fields(moved)}
        sums["size"] = sum(layer.size for layer in self.result.layers) if self.result else 0
        return {name: size for name, size in sums.items() if size}

    def _detail(self, error: BaseException | None) -> Detail:
        result = self.result
        return Detail(
            stages=stage_nodes(self.session.graph) if self.session else (),
            layers=result.layers if result else (),
            conditions=result.conditions if result else (),
            warnings=tuple(self._events.warnings),
            origins=tuple((step.step, step.origin) for step in self._events.finished if step.origin),
            failure=_failure(error) if isinstance(error, BuilderError) else None,
        )

    def _steps(self) -> list[BuildStep]:
        """Every step that began; one that did not end was stopped with the build."""
        ended = {step.step: step for step in self._events.finished}
        found = []
        for number, start in self._events.started.items():
            end = ended.get(number)
            if end is None:
                found.append(
                    BuildStep(
                        number, "", start.title, start.stage, start.line, Outcome.CANCELLED, start.time, 0.0
                    )
                )
                continue
            found.append(
                BuildStep(
                    number=number,
                    slot=end.slot,
                    title=start.title,
                    stage=start.stage,
                    line=start.line,
                    outcome=end.outcome,
                    started=max(start.time, end.time - end.seconds),  # later where it waited for others
                    seconds=end.seconds,
                    saved=end.saved,
                    size=end.size,
                    key=bytes.fromhex(end.key),
                    state=bytes.fromhex(end.state),
                    digest=end.digest,
                    same=end.same,
                    compared=bytes.fromhex(end.compared),
                    reasons=end.reasons,
                    error=end.error,
                )
            )
        return found


def _failure(error: BuilderError) -> Failure:
    place = error.location
    status, output = -1, ""
    if isinstance(error, CommandError):
        status, output = error.status, error.output.decode("utf-8", "replace")
    if place is None:
        return Failure(error.hint or "", status=status, output=output)
    return Failure(error.hint or "", place.file, place.line, place.column, status, output)


def _file_name(session: Session) -> str:
    """How the history calls a build file: descriptors of pipes have other numbers each time."""
    return STREAM if session.inputs.slot.endswith(f"\n{STREAM}") else session.graph.file.name


def context_name(request: BuildRequest) -> str:
    """How the history calls a context: a whole path, or an address without a password."""
    if lies_elsewhere(request.context):
        return without_password(request.context)
    return os.path.realpath(request.context)


def _stages(session: Session) -> tuple[str, ...]:
    graph = session.graph
    return tuple(graph.stages[index].name or str(index) for index in graph.needed)
