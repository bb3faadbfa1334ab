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
    `import-failed`, `expired`; `part` is the name of the key's part (`file src/a.py`, `arg VERSION`, `parent`); `detail` is for
    people. `step` is the number of the step of this build that is the cause, 0 if none is.
    """

    kind: str
    part: str
    detail: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class StageNode:
    """A stage that a build needs: its place in the build file, its name (`stage-1` if it has none), what it is FROM, and
    the places of the stages that it takes something of. `target` marks the one that is built.
    """

    index: int
    name: str
    base: str
    needs: tuple[int, ...] = ()
    target: bool = False


@dataclass(frozen=True, slots=True)
class StagesPlanned:
    """The build file was read: `file` is its name, `stages` are those that are needed, in the order of the file."""

    time: float
    file: str
    stages: tuple[StageNode, ...]


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began; `title` is what people read: `[build 2/5] RUN make`.

    `of` is the place of its stage in the build file, -1 for work of none, such as writing an output.
    """

    time: float
    step: int
    title: str
    stage: str
    line: int = 0
    of: int = -1


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
    for; `origin` is, of a hit, the remote cache that its record came from. `same` tells of a step that ran again and gave
    the result that it had given before, so that no later step is rebuilt for it; `compared` is the key of the earlier record
    that a miss was compared with.
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
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know that stops nothing; `place` is `file:line` or empty."""

    time: float
    message: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that a build moved: `read` from files (to hash, copy or pack them), `hashed` (fingerprints and digests), `written`
    to the store (files and blobs), `fetched` from registries and URLs, `pushed` to registries.
    """

    read: int = 0
    hashed: int = 0
    written: int = 0
    fetched: int = 0
    pushed: int = 0


@dataclass(frozen=True, slots=True)
class LayerSize:
    """A layer of the image: `state` is that of the step it belongs to, `digest` that of its blob.

    `size` is the blob's, `tar_size` the tar's (0 if unknown); `pulled` tells one that came with a base.
    """

    state: str
    digest: str
    size: int
    tar_size: int = 0
    pulled: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """What the caller set on the result (`hit-rate>=0.8`), whether it is met, and what was found."""

    text: str
    met: bool
    found: str


@dataclass(frozen=True, slots=True)
class BuildFinished:
    """The last event of every build, also of a failed one. `build` is its number in the history, 0 if it is not there.

    `layers` are those of the image, the lowest first; `conditions` are judged only where there is a result.
    """

    time: float
    seconds: float
    ok: bool
    image: str = ""
    names: tuple[str, ...] = field(default=())
    build: int = 0
    layers: tuple[LayerSize, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    conditions: tuple[Condition, ...] = ()


Event = StagesPlanned | StepStarted | StepOutput | StepProgress | StepFinished | Warned | BuildFinished
