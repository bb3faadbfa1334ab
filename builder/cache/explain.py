"""Why a step missed: the difference between its parts and those of an earlier record of the same step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from builder.cache.key import Part
from builder.events import Reason

# Longest values that a message repeats; longer ones are shown by their beginning.
_SHOWN = 60


def nearest(parts: Sequence[Part], earlier: Sequence[Sequence[Part]]) -> Sequence[Part] | None:
    """The earlier list that shares most with this one (the first of equals), None if there is none."""
    wanted = set(parts)
    return max(earlier, key=lambda old: len(wanted.intersection(old)), default=None)


def explain(
    parts: Sequence[Part],
    earlier: Sequence[Part] | None,
    *,
    parent_reason: str = "an earlier step changed",
    changed_files: Callable[[], Sequence[Reason]] | None = None,
) -> tuple[Reason, ...]:
    """The reasons for a miss, most important first.

    `earlier` are the parts of the nearest earlier record, None if this step was never built. `changed_files` is
    asked only if a `file` part differs and names the files below it. `parent_reason` explains a changed parent.
    """
    if earlier is None:
        return (Reason("first-build", "", "never built before"),)
    old = {(part.kind, part.name): part.value for part in earlier}
    new = {(part.kind, part.name): part.value for part in parts}
    differing = [
        key for key in (*new, *(key for key in old if key not in new)) if old.get(key) != new.get(key)
    ]
    reasons = [
        _reason(key, old.get(key), new.get(key)) for key in differing if key[0] not in ("file", "parent")
    ]
    if any(kind == "file" for kind, _ in differing):
        reasons += (changed_files() if changed_files else ()) or _whole_sources(old, new)
    # A changed parent comes last: it is rarely what the reader can act on if the step itself has a cause.
    if any(kind == "parent" for kind, _ in differing):
        reasons.append(Reason("changed", "parent", parent_reason))
    return tuple(reasons) or (Reason("broken-record", "", "its record could not be used"),)


def _reason(key: tuple[str, str], before: str | None, after: str | None) -> Reason:
    """One part that differs."""
    kind, name = key
    label = "command" if kind == "argument" else Part(kind, name, "").label
    if before is None:
        return Reason("added", label, f"{label} is new: {_short(kind, after or '')}")
    if after is None:
        return Reason("removed", label, f"{label} is gone (was {_short(kind, before)})")
    return Reason("changed", label, f"{label}: {_short(kind, before)} → {_short(kind, after)}")


def _whole_sources(old: dict[tuple[str, str], str], new: dict[tuple[str, str], str]) -> list[Reason]:
    """The sources of a COPY that differ, where no listing tells which files below them do."""
    reasons = []
    for kind, name in sorted(old.keys() | new.keys()):
        before, after = old.get((kind, name)), new.get((kind, name))
        if kind != "file" or before == after:
            continue
        what = "added" if before is None else "removed" if after is None else "changed"
        reasons.append(Reason(what, f"file {name}", f"{name or '.'} {what}"))
    return reasons


def _short(kind: str, value: str) -> str:
    """A value as a message shows it."""
    if kind in ("base", "from") and len(value) == 32:
        return value[:12]
    flat = value.replace("\n", "⏎")
    return repr(flat if len(flat) <= _SHOWN else flat[:_SHOWN] + "…")
