"""What a build tells while it goes on: plain values, made by the engine, shown by `builder.report`.

Every event has `time`, seconds since the epoch. Steps are named by `step`, a number that is unique in
its build. A callback receives events from several threads, one at a time.
"""

from __future__ import annotations

from enum import StrEnum

from builder.value import dataclass, field


class Outcome(StrEnum):
    """How a step ended."""

    HIT = "hit"
    MISS = "miss"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DONE = "done"  # work that is done every time, such as writing an output


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of a miss: the `part` of the key that differs, and how.

    `kind` is one of `first-build`, `changed`, `added`, `removed`, `no-cache`, `broken-record`, `evicted`,
    `import-failed`; `part` is the name of the key's part (`file src/a.py`, `arg VERSION`, `parent`); `detail` is for
    people. `step` is the number of the step of this build that is the cause, 0 if none is.
    """

    kind: str
    part: str
    detail: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began; `title` is what people read: `[build 2/5] RUN make`."""

    time: float
    step: int
    title: str
    stage: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class StepOutput:
    """Some bytes that a step's command wrote; `stream` is `stdout` or `stderr`."""

    time: float
    step: int
    stream: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far a long piece of work is; `total` is 0 where nobody knows. The unit is bytes."""

    time: float
    step: int
    label: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step ended. `size` is the bytes of file content in its layer, `seconds` its wall time.

    `saved` is the time that a hit took when it was carried out. `slot` names the step across builds: build file, stage
    and instruction, a line each; empty for what is no step of a stage. `digest` is, for a base, what its reference stands
    for. `same` tells of a step that ran again and gave the result that it had given before, so that later steps stay cached;
    `compared` is the key of the earlier record that a miss was compared with.
    """

    time: float
    step: int
    outcome: Outcome
    seconds: float
    size: int = 0
    key: str = ""
    state: str = ""
    reasons: tuple[Reason, ...] = ()
    error: str = ""
    saved: float = 0.0
    slot: str = ""
    digest: str = ""
    same: bool = False
    compared: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know that stops nothing; `place` is `file:line` or empty."""

    time: float
    message: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class BuildFinished:
    """The last event of every build, also of a failed one. `build` is its number in the history, 0 if it is not there."""

    time: float
    seconds: float
    ok: bool
    image: str = ""
    names: tuple[str, ...] = field(default=())
    build: int = 0


Event = StepStarted | StepOutput | StepProgress | StepFinished | Warned | BuildFinished
