"""A report: what a build did, as one value that every format is written from, and its JSON form.

docs/report.md describes the form, docs/report.schema.json is its JSON Schema. A number in `schema` that a reader does not
know means fields with other meanings; new fields may come without a new number.
"""

from __future__ import annotations

from builder.errors import BuilderError, BuildFileError, CommandError, StepError
from builder.events import Condition, LayerSize, Outcome, Reason, StageNode, Traffic, Warned
from builder.value import dataclass, field, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class ReportStep:
    """One step; the fields are those of its events. A step that did not come to its end counts as cancelled."""

    step: int
    title: str
    stage: str = ""
    line: int = 0
    of: int = -1
    started: float = 0.0
    outcome: Outcome = Outcome.CANCELLED
    seconds: float = 0.0
    saved: float = 0.0
    size: int = 0
    key: str = ""
    state: str = ""
    reasons: tuple[Reason, ...] = ()
    error: str = ""
    same: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A build. `build` is its number in the history, 0 if it is not there; `started` is seconds since 1970.

    `error` is None for a build that has a result, else what `error_object` made of the error.
    """

    ok: bool
    started: float = 0.0
    seconds: float = 0.0
    build: int = 0
    file: str = ""
    image: str = ""
    names: tuple[str, ...] = ()
    steps: tuple[ReportStep, ...] = ()
    stages: tuple[StageNode, ...] = ()
    layers: tuple[LayerSize, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    conditions: tuple[Condition, ...] = ()
    warnings: tuple[Warned, ...] = ()
    error: dict[str, Any] | None = None

    def count(self, outcome: Outcome) -> int:
        """How many steps ended in a way."""
        return sum(step.outcome is outcome for step in self.steps)

    @property
    def hit_rate(self) -> float:
        """The share of hits among the steps that were hits or carried out: 1 if there was none. As conditions count it."""
        hits, misses = self.count(Outcome.HIT), self.count(Outcome.MISS)
        return hits / (hits + misses) if hits + misses else 1.0

    @property
    def in_order(self) -> list[ReportStep]:
        """The steps in the order of the build file; `steps` are in the order in which they began."""
        return sorted(self.steps, key=lambda step: (step.line or 1 << 30, step.step))

    @property
    def saved(self) -> float:
        """The seconds that hits took when they were carried out."""
        return sum(step.saved for step in self.steps)

    @property
    def size(self) -> int:
        """The bytes of the image's layers as blobs."""
        return sum(layer.size for layer in self.layers)

    @property
    def unmet(self) -> tuple[Condition, ...]:
        """The conditions that are not met."""
        return tuple(condition for condition in self.conditions if not condition.met)


def made_by(report: Report) -> dict[str, ReportStep]:
    """The step that made each state: of several that led to one, those that change nothing among them, the first."""
    return {step.state: step for step in reversed(report.steps) if step.state}


def report_object(report: Report) -> dict[str, Any]:
    """The report as JSON has it."""
    return {
        "schema": SCHEMA,
        "ok": report.ok,
        "build": report.build,
        "file": report.file,
        "image": report.image,
        "names": list(report.names),
        "started": round(report.started, 6),
        "seconds": round(report.seconds, 6),
        "saved": round(report.saved, 6),
        "hits": report.count(Outcome.HIT),
        "misses": report.count(Outcome.MISS),
        "hit_rate": round(report.hit_rate, 6),
        "size": report.size,
        "traffic": _fields_of(report.traffic),
        "error": report.error,
        "conditions": [_fields_of(condition) for condition in report.conditions],
        "stages": [{**_fields_of(stage), "needs": list(stage.needs)} for stage in report.stages],
        "steps": [_step_object(step) for step in report.steps],
        "layers": [_fields_of(layer) for layer in report.layers],
        "warnings": [{"message": warning.message, "place": warning.place} for warning in report.warnings],
    }


def _fields_of(value: Traffic | Condition | StageNode | LayerSize) -> dict[str, Any]:
    # `dataclasses.asdict` brings modules that cost more than all else here.
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _step_object(step: ReportStep) -> dict[str, Any]:
    return {
        "step": step.step,
        "title": step.title,
        "stage": step.stage,
        "line": step.line,
        "of": step.of,
        "started": round(step.started, 6),
        "outcome": step.outcome.value,
        "seconds": round(step.seconds, 6),
        "saved": round(step.saved, 6),
        "size": step.size,
        "key": step.key,
        "state": step.state,
        "reasons": [
            {"kind": one.kind, "part": one.part, "detail": one.detail, "step": one.step}
            for one in step.reasons
        ],
        "error": step.error,
        "same": step.same,
        "origin": step.origin,
    }


def error_object(error: BuilderError) -> dict[str, Any]:
    """An error as JSON has it: `message`, `hint`, where, and what belongs to its kind."""
    place = error.location
    found: dict[str, Any] = {
        "message": error.message,
        "hint": error.hint or "",
        "file": place.file if place else "",
        "line": place.line if place else 0,
        "column": place.column if place else 0,
    }
    if isinstance(error, CommandError):
        found["status"] = error.status
        found["output"] = error.output.decode("utf-8", "replace")
    if isinstance(error, BuildFileError | StepError) and error.others:
        found["others"] = [error_object(other) for other in error.others]
    return found
