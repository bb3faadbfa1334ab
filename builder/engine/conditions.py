"""What a caller may set on a result: `hit-rate>=0.8`, `time<60s`, `size<200MB`, `hit:STAGE/STEP`.

    condition = metric operator value | "hit:" stage [ "/" step ]
    operator  = ">=" | "<=" | ">" | "<" | "=" | "!="
    stage     = name | number | "*"
    step      = number as progress shows it | beginning of the instruction, in which * stands for anything

A condition that cannot be meant is a `UsageError` before anything is built; one that is not met is told at the end.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from builder.buildfile.durations import parse_duration
from builder.errors import UsageError
from builder.events import Condition, LayerSize, Outcome, StageNode, StepFinished, StepStarted, Traffic
from builder.value import dataclass, field

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_COMPARISON = re.compile(r"\s*([A-Za-z][\w-]*)\s*(>=|<=|==|!=|>|<|=)\s*(.*?)\s*")
_TITLE = re.compile(r"\[(?:.* )?\s*(\d+)/\d+\] (.*)", re.DOTALL)
_SIZES = {
    "": 1.0,
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "tb": 1e12,
    "kib": 2.0**10,
    "mib": 2.0**20,
    "gib": 2.0**30,
    "tib": 2.0**40,
}
_NUMBER = r"(\d{1,15}(?:\.\d{1,9})?)"


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions are about: the steps as they began and ended, the stages, and what came of it."""

    steps: Sequence[tuple[StepStarted, StepFinished]]
    stages: Sequence[StageNode] = ()
    seconds: float = 0.0
    layers: Sequence[LayerSize] = ()
    traffic: Traffic = field(default_factory=Traffic)
    warnings: int = 0

    def count(self, outcome: Outcome) -> int:
        """How many steps ended in a way."""
        return sum(end.outcome is outcome for _, end in self.steps)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition, read. `stage` and `step` are those of `hit:`, else `metric`, `compare` and `bound` say what is compared."""

    text: str
    stage: str = ""
    step: str = ""
    metric: str = ""
    compare: str = ""
    bound: float = 0.0


def _rate(facts: Facts) -> float:
    hits, misses = facts.count(Outcome.HIT), facts.count(Outcome.MISS)
    return hits / (hits + misses) if hits + misses else 1.0


_METRICS: dict[str, tuple[str, Callable[[Facts], float]]] = {
    "hit-rate": ("share", _rate),
    "hits": ("count", lambda facts: facts.count(Outcome.HIT)),
    "misses": ("count", lambda facts: facts.count(Outcome.MISS)),
    "steps": ("count", lambda facts: facts.count(Outcome.HIT) + facts.count(Outcome.MISS)),
    "layers": ("count", lambda facts: len(facts.layers)),
    "warnings": ("count", lambda facts: facts.warnings),
    "time": ("time", lambda facts: facts.seconds),
    "saved": ("time", lambda facts: sum(end.saved for _, end in facts.steps)),
    "size": ("size", lambda facts: sum(layer.size for layer in facts.layers)),
    "read": ("size", lambda facts: facts.traffic.read),
    "hashed": ("size", lambda facts: facts.traffic.hashed),
    "written": ("size", lambda facts: facts.traffic.written),
    "fetched": ("size", lambda facts: facts.traffic.fetched),
    "pushed": ("size", lambda facts: facts.traffic.pushed),
}
METRICS = tuple(_METRICS)
"""The names that a comparison may begin with."""


def parse_conditions(texts: Iterable[str]) -> tuple[Requirement, ...]:
    """Read conditions, each in one text; a `UsageError` says which cannot be meant and what may be."""
    return tuple(_parse(text.strip()) for text in texts)


def _parse(text: str) -> Requirement:
    kind, mark, rest = text.partition(":")
    if mark and not _COMPARISON.fullmatch(text):
        if kind.strip() != "hit":
            raise UsageError(f'the condition "{text}" is unknown', hint="write hit:STAGE/STEP")
        stage, _, step = (part.strip() for part in rest.partition("/"))
        if not stage:
            raise UsageError(f'the condition "{text}" names no stage', hint="write hit:STAGE/STEP")
        return Requirement(text, stage=stage, step=step)
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise UsageError(
            f'the condition "{text}" cannot be understood',
            hint="for example hit-rate>=0.8, time<60s, size<200MB or hit:build/RUN make",
        )
    metric, compare, value = found.groups()
    if metric not in _METRICS:
        raise UsageError(
            f'there is nothing called "{metric}" to set conditions on',
            hint=_guess(metric, METRICS, "conditions are about"),
        )
    return Requirement(text, metric=metric, compare=compare, bound=_bound(text, _METRICS[metric][0], value))


def _guess(word: str, known: Sequence[str], lead: str) -> str:
    # Late: only a mistake needs it.
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    listed = f"{lead} {', '.join(known)}" if known else ""
    return f"did you mean {near[0]}? {listed[:1].upper()}{listed[1:]}".rstrip() if near else listed


def _bound(text: str, kind: str, value: str) -> float:
    if kind == "time":
        return _duration(text, value)
    number, unit = _split(value)
    units = {"share": {"": 1.0, "%": 0.01}, "count": {"": 1.0}}.get(kind, _SIZES)
    if number is None or unit not in units:
        example = {"share": "0.8 or 80%", "count": "3", "size": "200MB"}[kind]
        raise UsageError(f'the condition "{text}" needs a value such as {example}, not "{value}"')
    if kind == "share" and number * units[unit] > 1:
        raise UsageError(
            f'the condition "{text}" needs a share between 0 and 1, not "{value}"',
            hint=f"write {number:g}%" if number <= 100 else "write 0.8 or 80%",
        )
    return number * units[unit]


def _split(value: str) -> tuple[float | None, str]:
    found = re.fullmatch(_NUMBER + r"\s*([A-Za-z%]*)", value)
    return (float(found[1]), found[2].lower()) if found else (None, "")


def _duration(text: str, value: str) -> float:
    """Seconds of `60s` or `1m30s`."""
    try:
        found = parse_duration(value)
    except ValueError:
        found = -1
    if found < 0:
        raise UsageError(f'the condition "{text}" needs a value such as 60s or 1m30s, not "{value}"')
    return found / 1e9


def check_stages(requirements: Iterable[Requirement], stages: Sequence[StageNode]) -> None:
    """A `UsageError` for a stage that the build does not have or does not need."""
    for requirement in requirements:
        if requirement.stage and not _stages(requirement, stages):
            raise UsageError(
                f'the condition "{requirement.text}" names a stage that is not built: "{requirement.stage}"',
                hint=_guess(
                    requirement.stage,
                    [stage.name or str(stage.index) for stage in stages],
                    "the stages that are built:",
                ),
            )


def _stages(requirement: Requirement, stages: Sequence[StageNode]) -> set[int]:
    wanted = requirement.stage.lower()
    return {
        stage.index
        for stage in stages
        if wanted in ("*", stage.name.lower(), str(stage.index), f"stage-{stage.index}")
    }


def judge(requirements: Iterable[Requirement], facts: Facts) -> tuple[Condition, ...]:
    """Whether each condition is met, and what was found in its place."""
    return tuple(_judge(requirement, facts) for requirement in requirements)


def _judge(requirement: Requirement, facts: Facts) -> Condition:
    if requirement.stage:
        return _judge_hit(requirement, facts)
    kind, measure = _METRICS[requirement.metric]
    value = measure(facts)
    return Condition(
        requirement.text, _COMPARE[requirement.compare](value, requirement.bound), _shown(kind, value)
    )


def _shown(kind: str, value: float) -> str:
    """A value as conditions write it, precise enough to see why it does not meet one."""
    if kind == "share":
        return f"{value:.3f}".rstrip("0").rstrip(".") or "0"
    if kind == "time":
        return f"{value:.3f}s" if value < 10 else f"{value:.1f}s"
    if kind == "count" or value < 1000:
        return f"{value:.0f}{'B' if kind == 'size' else ''}"
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 1000 or unit == "GB":
            break
    return f"{value:.3f}{unit}"


def _judge_hit(requirement: Requirement, facts: Facts) -> Condition:
    stages = _stages(requirement, facts.stages)
    steps = [(begun, end) for begun, end in facts.steps if begun.of in stages]
    chosen = [(begun, end) for begun, end in steps if _is_meant(requirement.step, begun.title)]
    if not chosen:
        return Condition(requirement.text, False, _no_such_step(requirement, [begun for begun, _ in steps]))
    missed = [(begun, end) for begun, end in chosen if end.outcome is not Outcome.HIT]
    if not missed:
        return Condition(requirement.text, True, "hit")
    return Condition(requirement.text, False, "; ".join(_missed(begun, end) for begun, end in missed[:3]))


def _missed(begun: StepStarted, end: StepFinished) -> str:
    """How a step ended instead, and the first reason."""
    why = f": {end.reasons[0].detail}" if end.reasons and end.reasons[0].detail else ""
    return f"{' '.join(begun.title.split())[:80]} is a {end.outcome.value}{why}"


def _is_meant(step: str, title: str) -> bool:
    found = _TITLE.fullmatch(title)
    if found is None:
        return not step
    if step.isascii() and step.isdigit():
        return int(found[1]) == int(step)
    wanted = re.compile(".*".join(map(re.escape, step.split("*"))))
    return any(wanted.match(text) for text in _forms(found[2]))


def _forms(text: str) -> tuple[str, str]:
    """An instruction as it is written, and without its flags, which are not what people call it by."""
    keyword, *words = text.split()
    flags = next((at for at, word in enumerate(words) if not word.startswith("--")), len(words))
    return " ".join([keyword, *words]), " ".join([keyword, *words[flags:]])


def _no_such_step(requirement: Requirement, steps: Sequence[StepStarted]) -> str:
    from difflib import get_close_matches

    # Beginnings are compared, since that is what conditions name.
    known = {form[: len(requirement.step)]: text for text in _texts(steps) for form in _forms(text)}
    near = get_close_matches(requirement.step, known, n=1)
    guess = f'; did you mean "{known[near[0]][:60]}"?' if near else ""
    return f'the stage has no step "{requirement.step}"{guess}'


def _texts(steps: Sequence[StepStarted]) -> Iterator[str]:
    for step in steps:
        found = _TITLE.fullmatch(step.title)
        if found is not None:
            yield " ".join(found[2].split())
