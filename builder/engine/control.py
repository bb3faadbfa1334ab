"""For which steps the cache is not asked, and why."""

from __future__ import annotations

import time

from builder.engine.session import Session
from builder.graph.naming import is_called
from builder.graph.places import locate
from builder.graph.stages import Stage
from builder.graph.steps import Control, Step
from builder.store.records import Record

UNTRUSTED = "its record came from a remote cache that no trusted key signed"
"""Why a record of the store is not taken by a build for which signatures count."""


def refusal(session: Session, stage: Stage, step: Step) -> str:
    """Why the cache is not asked for a step of a stage, for people; empty if it is asked."""
    if session.request.no_cache:
        return "the cache was not asked: --no-cache"
    for name in session.request.no_cache_filter:
        if _is_stage(stage, name) or _is_meant(session, step, name, stage.name or ""):
            return f"the cache was not asked: --no-cache-filter {name}"
    return ""


def _is_meant(session: Session, step: Step, name: str, stage: str) -> bool:
    """Whether a step is what a name says: as titles show it, or by its line as the build file has it, variables and all."""
    if is_called(step.title, name, stage=stage):
        return True
    return " ".join(name.split()) == " ".join(locate(session.graph.file, step.span).source.split())


def decided_anew(control: Control) -> str:
    """Why a step is carried out whatever the cache has, by the comment above it; empty if it need not be."""
    return "cache=never stands above it" if control.never else ""


def expired(control: Control, record: Record) -> str:
    """Why a record does not count any more, by the comment above its step; empty if it does.

    One that seems to be made in the future, because the clock was set back, counts.
    """
    if not control.expires or time.time() - record.created < control.expires:
        return ""
    return f"expired: made {day(record.created)}, and expires={_time(control.expires)} stands above it"


def _time(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def day(seconds: float) -> str:
    """A moment as reasons tell it."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _is_stage(stage: Stage, name: str) -> bool:
    return bool(name) and name.lower() in (stage.name, stage.label.lower())


def tell_unused_filters(session: Session) -> None:
    """Warn of names of --no-cache-filter that nothing has: most likely they are misspelt."""
    graph = session.graph
    steps = [(step, begin.split("\n")[-2]) for begin, some in session.lines.items() for step in some]
    for name in session.request.no_cache_filter:
        if any(_is_stage(stage, name) for stage in graph.stages):
            continue
        if any(_is_meant(session, step, name, stage) for step, stage in steps):
            continue
        # Late: only a mistake needs it.
        from difflib import get_close_matches

        known = [label for stage in graph.stages for label in (stage.name, stage.label) if label]
        near = get_close_matches(name.lower(), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        session.events.warn(f"--no-cache-filter {name}: no stage or step is called so{hint}")
