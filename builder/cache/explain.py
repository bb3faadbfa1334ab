"""Why a step missed: the difference between its parts and those of an earlier record of the same step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from builder.cache.key import Part
from builder.events import Reason

# Longest values that a message repeats; longer ones are shown by their beginning.
_SHOWN = 60
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.,:/@+=%")
_LABELS = {"argument": "command", "arg": "ARG", "env": "ENV", "recheck": "output of"}


def because(step: int, title: str, part: str = "parent") -> Reason:
    """The reason of a step that stands on, or takes files from, one that changed."""
    return Reason("changed", part, f"because step {step} changed: {title}", step)


def explain(
    parts: Sequence[Part],
    earlier: Sequence[Part] | None,
    *,
    parent: Reason | None = None,
    changed_files: Callable[[], Sequence[Reason]] | None = None,
    sources: Mapping[str, Reason] | None = None,
) -> tuple[Reason, ...]:
    """The reasons for a miss, most important first.

    `earlier` are the parts of the nearest earlier record, None if this step was never built. `changed_files` is
    asked only if a `file` part differs and names the files below it. `parent` explains a changed parent, `sources` by the
    state that files come from why that is another.
    """
    if earlier is None:
        return (Reason("first-build", "", "never built before"),)
    old = {(part.kind, part.name): part.value for part in earlier}
    new = {(part.kind, part.name): part.value for part in parts}
    differing = [
        key for key in (*new, *(key for key in old if key not in new)) if old.get(key) != new.get(key)
    ]
    reasons: list[Reason] = []
    for key in differing:
        if key[0] in ("file", "parent"):
            continue
        source = _source(new.get(key), sources)
        reasons.append(
            Reason("changed", Part(*key, "").label, source.detail, source.step)
            if source is not None
            else _reason(key, old.get(key), new.get(key))
        )
    if any(kind == "file" for kind, _ in differing):
        reasons += (changed_files() if changed_files else ()) or _whole_sources(old, new)
        if sources and not any(reason.step for reason in reasons):
            reasons += [Reason("changed", "from", one.detail, one.step) for one in sources.values()]
    # A changed parent comes last: it is rarely what the reader can act on if the step itself has a cause.
    if any(kind == "parent" for kind, _ in differing):
        reasons.append(parent or Reason("changed", "parent", "an earlier step changed"))
    return tuple(reasons) or (Reason("broken-record", "", "its record could not be used"),)


def _source(value: str | None, sources: Mapping[str, Reason] | None) -> Reason | None:
    """Why what a part takes files from is another."""
    words = (value or "").split(" ")
    return next((reason for state, reason in (sources or {}).items() if state in words), None)


def _reason(key: tuple[str, str], before: str | None, after: str | None) -> Reason:
    """One part that differs."""
    kind, name = key
    label = Part(kind, name, "").label
    shown = "command" if kind == "argument" else f"{_LABELS.get(kind, kind)} {name}".rstrip()
    if before is None:
        return Reason("added", label, f"{shown} is new: {_short(kind, after or '')}")
    if after is None:
        return Reason("removed", label, f"{shown} is gone (was {_short(kind, before)})")
    return Reason("changed", label, f"{shown}: {_short(kind, before)} → {_short(kind, after)}")


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
    flat = flat if len(flat) <= _SHOWN else flat[:_SHOWN] + "…"
    return flat if flat and kind in ("arg", "env") and _PLAIN.issuperset(flat) else repr(flat)
