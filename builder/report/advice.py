"""Advice on builds of one kind: what made later steps miss without need, and which bytes an image carries for nothing.

Each piece comes with what is at stake: seconds that steps took which need not have run, bytes that need not be there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from builder.errors import BuilderError
from builder.events import Outcome
from builder.report.past import find_build
from builder.report.text import human, seconds
from builder.report.trend import BUILDS, followed, root_causes, text_of
from builder.store.history import Build, BuildStep
from builder.store.store import Store
from builder.value import dataclass

LEAST = 10_000
"""Fewer bytes than these are not worth a word."""
_LISTED = 3
_UNUSED = 5
# The steps of builds by their numbers; lines of a build file, by slot and text.
_Builds = Mapping[int, Mapping[int, BuildStep]]
_Lines = AbstractSet[tuple[str, str]]
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that could be better.

    `kind` is `split-copy`, `move-copy`, `early-arg`, `copied-bytes`, `removed-bytes` or `unused-files`; `step` is the title
    of the step that it is about (empty: none), `line` its line. `found` says what is, `todo` what to do about it.
    """

    kind: str
    step: str
    line: int
    found: str
    todo: str
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Advised:
    """All advice, that with most at stake first, and notes on what could not be looked at."""

    build: int
    advice: tuple[Advice, ...]
    notes: tuple[str, ...] = ()


def advise(store: Store, number: int | None = None, *, least: int = LEAST) -> Advised:
    """Advice on a build (None: the last one), from builds of its kind, the layers of its image, and its context as it is now."""
    build = find_build(store, number)
    builds = store.history.like(build, BUILDS)
    by_build: dict[int, dict[int, BuildStep]] = {}
    for step in store.history.steps_of(one.number for one in builds):
        by_build.setdefault(step.build, {})[step.number] = step
    from builder.report.wasted import wasted_bytes

    notes: list[str] = []
    # What the build file says no more needs no advice.
    now = {(step.slot, text_of(step.title)) for step in by_build.get(build.number, {}).values()}
    commands = _Commands(store)
    found = [*_copies(commands, by_build, now, least), *_arguments(commands, by_build, now)]
    found += wasted_bytes(store, build, by_build.get(build.number, {}), least, notes)
    found += _context(store, build, least, notes)
    found.sort(key=lambda one: (-one.seconds, -one.bytes, one.kind, one.line))
    return Advised(build.number, tuple(found), tuple(notes))


# --- COPY that brings what changes above steps that do not need it ---


def _copies(commands: _Commands, builds: _Builds, now: _Lines, least: int) -> Iterator[Advice]:
    missed: dict[tuple[str, str], list[BuildStep]] = {}
    for steps in builds.values():
        for step in steps.values():
            if (
                step.outcome is Outcome.MISS
                and text_of(step.title).startswith(("COPY ", "ADD "))
                and _files(step)
            ):
                missed.setdefault((step.slot, text_of(step.title)), []).append(step)
    for line, found in missed.items():
        if len(found) < 2 or line not in now:
            continue
        counts: dict[str, int] = {}
        for step in found:
            for name in _files(step):
                counts[name] = counts.get(name, 0) + 1
        often = [name for name, count in counts.items() if 2 * count > len(found)]
        often.sort(key=lambda one: (-counts[one], one))
        if not often or len(often) > 2 * _LISTED:
            continue
        spared = [
            follow
            for step in found
            for follow in _followers(step, builds[step.build])
            if (follow.slot, text_of(follow.title)) in now
            and not any(
                _takes(commands, one, often) for one in (follow, *followed(follow, builds[step.build]))
            )
        ]
        spent = sum(step.seconds for step in spared)
        size = max(step.size for step in found)
        if spared and (spent >= 0.05 or size >= least):
            yield _copy_advice(line[1], found, often, spared, spent, size)


def _copy_advice(
    text: str,
    steps: Sequence[BuildStep],
    often: Sequence[str],
    followed: Sequence[BuildStep],
    spent: float,
    size: int,
) -> Advice:
    newest = steps[-1]
    names = _listed(often)
    after = _listed(list(dict.fromkeys(text_of(step.title) for step in followed)))
    alone = set(text.split()) >= set(often)
    return Advice(
        "move-copy" if alone else "split-copy",
        newest.title,
        newest.line,
        f"missed {len(steps)} times for {names}, and {after} ran again for nothing else",
        f"copy {names} below the steps that do not need {'it' if len(often) == 1 else 'them'}"
        + ("" if alone else ", and leave the rest of this COPY above"),
        bytes=size,
        seconds=spent,
    )


def _files(step: BuildStep) -> list[str]:
    """The files that a step missed for, if it missed for nothing else; a step that followed another has none."""
    names = [reason.part.removeprefix("file ") for reason in step.reasons if reason.part.startswith("file ")]
    return names if len(names) == len(step.reasons) else []


def _followers(cause: BuildStep, steps: Mapping[int, BuildStep]) -> Iterator[BuildStep]:
    """The RUN steps that missed for nothing but one step above them."""
    for step in steps.values():
        if (
            step.outcome is not Outcome.MISS
            or step.number == cause.number
            or not text_of(step.title).startswith("RUN ")
        ):
            continue
        if _leads_only_to(step, cause.number, steps):
            yield step


def _leads_only_to(step: BuildStep, cause: int, steps: Mapping[int, BuildStep]) -> bool:
    left, seen = [step], set()
    while left:
        current = left.pop()
        if current.number in seen:
            continue
        seen.add(current.number)
        if not current.reasons:
            return False
        for reason in current.reasons:
            above = steps.get(reason.step)
            if above is None:
                return False
            if above.number != cause:
                left.append(above)
    return True


def _takes(commands: _Commands, step: BuildStep, files: Sequence[str]) -> bool:
    """Whether a RUN's command has the name of one of some files: it needs that, then."""
    command = commands.of(step) or ""
    return any(os.path.basename(file) in command for file in files)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED])
    more = len(names) - _LISTED
    return f"{shown} and {more} more" if more > 0 else shown


# --- ARG that comes before steps that do not name it ---


def _arguments(commands: _Commands, builds: _Builds, now: _Lines) -> Iterator[Advice]:
    missed: dict[tuple[str, str, str], list[BuildStep]] = {}
    for steps in builds.values():
        for step in steps.values():
            if step.outcome is Outcome.MISS and step.key and text_of(step.title).startswith("RUN "):
                causes = root_causes(step, steps)
                names = [part.removeprefix("arg ") for part in causes if part.startswith("arg ")]
                own = [reason.part for reason in step.reasons if reason.part.startswith("arg ")]
                if own and len(names) == len(causes):
                    for name in (part.removeprefix("arg ") for part in own):
                        missed.setdefault((step.slot, text_of(step.title), name), []).append(step)
    for (slot, text, name), found in missed.items():
        if (slot, text) not in now:
            continue
        command = commands.of(found[-1])
        if command is None or _names(command, name):
            continue
        # It cannot come below this step, or it would change nothing, where a step above it needs it.
        if any(_needed_above(commands, step, name, builds[step.build]) for step in found):
            continue
        times = "once" if len(found) == 1 else f"{len(found)} times"
        yield Advice(
            "early-arg",
            found[-1].title,
            found[-1].line,
            f"missed {times} because ARG {name} changed, which its command does not name: {text}",
            f"put ARG {name} below this step",
            bytes=max(step.size for step in found),
            seconds=sum(step.seconds for step in found),
        )


def _needed_above(commands: _Commands, step: BuildStep, name: str, steps: Mapping[int, BuildStep]) -> bool:
    """Whether the command of a RUN above a step names a variable: one of its stage, or one that it missed for."""
    stage = step.slot.rpartition("\n")[0]
    above = [
        one
        for one in steps.values()
        if one.line < step.line and one.slot.rpartition("\n")[0] == stage and one.key
    ]
    for one in (*above, *followed(step, steps)):
        if text_of(one.title).startswith("RUN ") and _names(commands.of(one) or "", name):
            return True
    return False


class _Commands:
    """What RUNs carry out, each record read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[bytes, str | None] = {}

    def of(self, step: BuildStep) -> str | None:
        """The command of a RUN, with its scripts, before variables are expanded; None if nobody knows."""
        if step.key not in self._known:
            record = self._store.records.find(step.key)
            self._known[step.key] = (
                None
                if record is None
                else "\n".join(value for kind, _, value in record.parts if kind in ("argument", "script"))
            )
        return self._known[step.key]


def _names(command: str, name: str) -> bool:
    """Whether a word of a command is a variable's name."""
    at = command.find(name)
    while at >= 0:
        end = at + len(name)
        if (at == 0 or command[at - 1] not in _WORD) and (end == len(command) or command[end] not in _WORD):
            return True
        at = command.find(name, at + 1)
    return False


# --- files of the context that nothing takes ---


def _context(store: Store, build: Build, least: int, notes: list[str]) -> Iterator[Advice]:
    from builder.engine.request import BuildRequest
    from builder.engine.unused import unused_files

    if not os.path.isdir(build.context):
        notes.append(f"the context {build.context} is no folder of this machine now")
        return
    file = (
        build.file
        if os.path.isfile(build.file)
        else os.path.join(build.context, os.path.basename(build.file))
    )
    request = BuildRequest(context=build.context, file=file, target=build.target or None)
    try:
        unused = [one for one in unused_files(store, request) if one.size >= least]
    except BuilderError as error:
        notes.append(f"the context was not looked through: {error.message}")
        return
    if unused:
        listed = ", ".join(f"{one.path} ({human(one.size)})" for one in unused[:_UNUSED])
        more = f" and {len(unused) - _UNUSED} more" if len(unused) > _UNUSED else ""
        yield Advice(
            "unused-files",
            "",
            0,
            f"no step takes {listed}{more} of the context",
            "list them in .dockerignore, so that no COPY of the whole folder brings them in one day",
            bytes=sum(one.size for one in unused),
        )


def advice_document(advised: Advised) -> dict[str, object]:
    """Advice as JSON has it."""
    return {
        "schema": 1,
        "build": advised.build,
        "advice": [
            {
                "kind": one.kind,
                "step": one.step,
                "line": one.line,
                "found": one.found,
                "todo": one.todo,
                "bytes": one.bytes,
                "seconds": round(one.seconds, 6),
            }
            for one in advised.advice
        ],
        "notes": list(advised.notes),
    }


def render_advice(advised: Advised) -> str:
    """Advice as text for a terminal."""
    # Late, to keep the values by themselves.
    from builder.report.summary import one_line, shorten

    lines = []
    for one in advised.advice:
        stake = [seconds(one.seconds)] if one.seconds >= 0.05 else []
        stake += [human(one.bytes)] if one.bytes else []
        place = f"line {one.line}: " if one.line else ""
        head = one_line(one.step) if one.step else "the context"
        lines += [
            f"{one.kind}: {place}{shorten(head, 100)}",
            f"  {one_line(one.found)}",
            f"  do: {one_line(one.todo)}",
            f"  at stake: {', '.join(stake) or 'little'}",
            "",
        ]
    if not advised.advice:
        lines += [f"build {advised.build}: nothing to improve was found", ""]
    lines += [f"note: {one_line(note)}" for note in advised.notes]
    return "\n".join(lines).rstrip("\n") + "\n"
