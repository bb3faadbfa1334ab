"""Reports of past builds, from the history of the store: any format can be written of them."""

from __future__ import annotations

from builder.errors import UsageError
from builder.events import Traffic
from builder.report.document import Report, ReportStep
from builder.store.details import Failure
from builder.store.history import Build, BuildStep
from builder.store.store import Store


def find_build(store: Store, number: int | None) -> Build:
    """A build by its number, or the last one; a `UsageError` for one that nobody remembers."""
    build = store.history.last() if number is None else store.history.build(number)
    if build is not None:
        return build
    last = store.history.last()
    if last is None:
        raise UsageError("the store's history has no builds", hint="build something, or name another store")
    raise UsageError(f"the history has no build {number}", hint=f"the last one is {last.number}")


def past_report(store: Store, number: int | None = None) -> Report:
    """The report of a build (None: the last one). Of its warnings the times are not kept."""
    build = find_build(store, number)
    detail = store.history.details.get(build.number)
    places = {stage.name: stage.index for stage in detail.stages}
    places |= {str(stage.index): stage.index for stage in detail.stages}
    origins = dict(detail.origins)
    return Report(
        ok=build.ok,
        started=build.started,
        seconds=build.seconds,
        build=build.number,
        file=build.file,
        image=build.image,
        names=build.names,
        steps=tuple(
            _step(step, places, origins.get(step.number, "")) for step in store.history.steps(build.number)
        ),
        stages=detail.stages,
        layers=detail.layers,
        traffic=_traffic(build),
        conditions=detail.conditions,
        warnings=detail.warnings,
        error=_error(build, detail.failure),
    )


def _step(step: BuildStep, places: dict[str, int], origin: str) -> ReportStep:
    # The second line of a slot is the stage's name, or its place.
    lines = step.slot.split("\n")
    return ReportStep(
        step=step.number,
        title=step.title,
        stage=step.stage,
        line=step.line,
        of=places.get(lines[-2], -1) if len(lines) >= 2 else -1,
        started=step.started,
        outcome=step.outcome,
        seconds=step.seconds,
        saved=step.saved,
        size=step.size,
        key=step.key.hex(),
        state=step.state.hex(),
        reasons=step.reasons,
        error=step.error,
        same=step.same,
        origin=origin,
    )


def _traffic(build: Build) -> Traffic:
    names = ("read", "hashed", "written", "fetched", "pushed")
    return Traffic(**{name: build.counters.get(name, 0) for name in names})


def _error(build: Build, failure: Failure | None) -> dict[str, object] | None:
    if build.ok:
        return None
    known = failure or Failure()
    found: dict[str, object] = {
        "message": build.error or "the build was stopped",
        "hint": known.hint,
        "file": known.file,
        "line": known.line,
        "column": known.column,
    }
    if known.status >= 0:
        found |= {"status": known.status, "output": known.output}
    return found
