"""How builds went over time: hit rate, time and size of builds of one kind, and the steps that keep missing, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from builder.events import Outcome
from builder.graph.naming import read_title
from builder.store.history import Build, BuildStep
from builder.store.store import Store
from builder.value import dataclass

BUILDS = 50
"""How many builds a trend looks at."""

_NUMBERED = re.compile(r"\[(?:.* )?\s*\d+/\d+\] ", re.DOTALL)
# Reasons that tell nothing about what keeps changing.
_NO_CAUSE = frozenset({"first-build", "no-cache"})


@dataclass(frozen=True, slots=True)
class Point:
    """One build of a trend; `size` is the bytes of its image's layers as blobs."""

    build: int
    started: float
    outcome: str
    hits: int
    misses: int
    seconds: float
    saved: float
    size: int

    @property
    def hit_rate(self) -> float:
        """The share of hits; of a build without steps 1, or 0 if it failed before the first one ended."""
        if self.hits + self.misses:
            return self.hits / (self.hits + self.misses)
        return 1.0 if self.outcome == "done" else 0.0


@dataclass(frozen=True, slots=True)
class Flaky:
    """A step that missed more than once: how often it ran, how often it missed, and why, the most frequent cause first.

    Causes are parts of keys (`file src/a.py`) with how many misses each had a share in; those of a step that only followed
    another are that step's. `seconds` is what its misses took.
    """

    stage: str
    text: str
    runs: int
    misses: int
    causes: tuple[tuple[str, int], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Trend:
    """Builds of one kind, the oldest first, and their steps that missed most, the worst first."""

    points: tuple[Point, ...] = ()
    flaky: tuple[Flaky, ...] = ()


def trend_of(store: Store, build: int | None = None, *, limit: int = BUILDS) -> Trend:
    """The trend up to a build (None: the last one) of those that had its context, build file and target."""
    history = store.history
    newest = history.last() if build is None else history.build(build)
    if newest is None:
        return Trend()
    builds = history.like(newest, limit)[::-1]
    points = tuple(point_of(one) for one in builds)
    return Trend(points, flaky_steps(history.steps_of(one.number for one in builds)))


def point_of(build: Build) -> Point:
    """A build as a point of a trend."""
    return Point(
        build.number,
        build.started,
        build.outcome,
        build.hits,
        build.misses,
        build.seconds,
        build.saved,
        build.counters.get("size", 0),
    )


def flaky_steps(steps: Sequence[BuildStep]) -> tuple[Flaky, ...]:
    """The steps that missed at least twice for something that changed. `steps` are those of several builds.

    What a step is across builds: its build file, its stage and its text, whatever its number; or its place, where the text is
    another because an argument is.
    """
    builds: dict[int, dict[int, BuildStep]] = {}
    runs: dict[tuple[str, str], list[BuildStep]] = {}
    for step in steps:
        builds.setdefault(step.build, {})[step.number] = step
        if step.slot and step.outcome in (Outcome.HIT, Outcome.MISS):
            runs.setdefault((step.slot, text_of(step.title)), []).append(step)
    found = []
    blamed = {number: causes_of_build(of_build) for number, of_build in builds.items()}
    for (_, text), all_runs in _of_one_place(runs).items():
        told = [step for step in all_runs if not _tells_nothing(step)]
        missed = [step for step in told if step.outcome is Outcome.MISS]
        if len(missed) < 2:
            continue
        counts: dict[str, int] = {}
        for step in missed:
            for cause in blamed[step.build][step.number]:
                counts[cause] = counts.get(cause, 0) + 1
        causes = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        name = read_title(max(all_runs, key=lambda step: step.build).title)
        stage = name.stage if name is not None else ""
        found.append(
            Flaky(stage, text, len(told), len(missed), tuple(causes), sum(step.seconds for step in missed))
        )
    return tuple(sorted(found, key=lambda one: (-one.misses / one.runs, -one.seconds, one.text)))


_Runs = dict[tuple[str, str], list[BuildStep]]


def _of_one_place(runs: _Runs) -> _Runs:
    """Runs by build file, stage and text, those of texts together that stood at one place: called by the newest of them."""
    found: _Runs = {}
    called: dict[tuple[str, str], tuple[str, str]] = {}
    # The newest text first, which the others join.
    for key, steps in sorted(runs.items(), key=lambda item: -max(step.build for step in item[1])):
        places = {(step.slot, f"{_place_of(step.title)} {step.line}") for step in steps if step.line}
        name = next((called[place] for place in places if place in called), key)
        called.update(dict.fromkeys(places, name))
        found.setdefault(name, []).extend(steps)
    return found


def _place_of(title: str) -> str:
    """The place of a step in its stage: `2/5` of `[build 2/5] RUN make`, empty for one that has none."""
    match = _NUMBERED.match(title)
    return match[0].strip("[] ").rpartition(" ")[2] if match is not None else ""


def text_of(title: str) -> str:
    """A step's title without its place: `RUN make` of `[build 2/5] RUN make`."""
    return " ".join(_NUMBERED.sub("", title, count=1).split())


def _tells_nothing(step: BuildStep) -> bool:
    return any(reason.kind in _NO_CAUSE for reason in step.reasons)


def root_causes(step: BuildStep, others: Mapping[int, BuildStep]) -> set[str]:
    """What is to blame for a miss; of a step that followed others, theirs. `others` are its build's steps by number."""
    found: set[str] = set()
    for one in (step, *followed(step, others)):
        found |= _own_causes(one, others)[0]
    return found


def followed(step: BuildStep, others: Mapping[int, BuildStep]) -> list[BuildStep]:
    """The steps that a step missed for, and those that they missed for. `others` are its build's steps by number."""
    found: dict[int, BuildStep] = {step.number: step}
    left = [step]
    while left:
        for one in _own_causes(left.pop(), others)[1]:
            if one.number not in found:
                found[one.number] = one
                left.append(one)
    return [one for one in found.values() if one is not step]


def causes_of_build(steps: Mapping[int, BuildStep]) -> dict[int, set[str]]:
    """The root causes of all steps of a build that missed, by their numbers."""
    found: dict[int, set[str]] = {}
    # Nearly all follow a step that began before them, so that what is to blame for that is known by then.
    for number, step in sorted(steps.items()):
        if step.outcome is not Outcome.MISS:
            continue
        own, causes = _own_causes(step, steps)
        if all(one.number in found for one in causes):
            found[number] = own.union(*(found[one.number] for one in causes))
        else:
            found[number] = root_causes(step, steps)
    return found


def _own_causes(step: BuildStep, others: Mapping[int, BuildStep]) -> tuple[set[str], list[BuildStep]]:
    """What is to blame for a miss beside the steps that it followed, and these."""
    above = [others.get(reason.step) if reason.step else None for reason in step.reasons]
    missed = [one is not None and one.outcome is Outcome.MISS for one in above]
    # Files of a stage that was built anew are no cause of their own.
    came = any(missed) and any(reason.part == "from" and reason.step for reason in step.reasons)
    mounts = [
        reason.part
        for reason, follows in zip(step.reasons, missed, strict=True)
        if follows and reason.part.startswith("mount ")
    ]
    own = {
        reason.part
        for reason, follows in zip(step.reasons, missed, strict=True)
        if not (follows or (came and reason.part.startswith("file ")))
        and not any(reason.part.startswith(f"{mount} file") for mount in mounts)
        and reason.part
        and reason.kind not in _NO_CAUSE
    }
    return own, [one for one, follows in zip(above, missed, strict=True) if follows and one is not None]


def flaky_sentence(flaky: Flaky) -> str:
    """`missed 9 of 10 times, always because of src/version.txt`."""
    head = f"missed {flaky.misses} of {flaky.runs} times"
    if not flaky.causes:
        return head
    shares = {_cause(cause): count for cause, count in flaky.causes}
    always = [name for name, count in shares.items() if count == flaky.misses]
    if always:
        return f"{head}, always because of {_listed(always)}"
    name, count = next(iter(shares.items()))
    return f"{head}, {count} of them because of {name}"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:3])
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _cause(part: str) -> str:
    """A part as people name it: a file by its path."""
    mount, mark, path = part.partition(" file ")
    if mark and mount.startswith("mount "):
        return f"{path} in the mount {mount.split(' ', 2)[2]}"
    return part.removeprefix("file ")
