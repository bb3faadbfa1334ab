"""Why a step missed: the difference between its parts and those of an earlier record of the same step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from builder.cache.key import Part
from builder.events import Reason
from builder.value import dataclass

# Longest values that a message repeats; of longer ones it shows the place where they begin to differ.
_SHOWN = 60
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.,:/@+=%")
# Of long values that differ somewhere behind their beginning: what is shown of what they have alike.
_BEFORE = 20
_LABELS = {
    "arg": "ARG {}",
    "env": "ENV {}",
    "recheck": "output of {}",
    "option": "--{}",
    "exclude": "--exclude",
    "host": "added host {}",
}
_Values = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class MountChange:
    """What is known of a mount that shows other files than before: the state that they are of now (hexadecimal, empty for those
    of a context), their root there, and reasons that name those that changed.
    """

    state: str = ""
    root: str = ""
    files: tuple[Reason, ...] = ()


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
    changed_mount: Callable[[Part, Part], MountChange] | None = None,
) -> tuple[Reason, ...]:
    """The reasons for a miss, most important first.

    `earlier` are the parts of the nearest earlier record, None if this step was never built. `changed_files` is
    asked only if a `file` part differs and names the files below it. `parent` explains a changed parent, `sources` by the
    state that files come from why that is another. `changed_mount` tells more of a mount that shows other files, by its part
    before and now.
    """
    if earlier is None:
        return (Reason("first-build", "", "never built before"),)
    old = {(part.kind, part.name): part.value for part in earlier}
    new = {(part.kind, part.name): part.value for part in parts}
    differing = [
        key for key in (*new, *(key for key in old if key not in new)) if old.get(key) != new.get(key)
    ]
    reasons: list[Reason] = []
    if _known_otherwise(old, new):
        # One record names the files, the other the stage that has them: what tells of both is that stage.
        told = (sources or {}).values()
        reasons += [Reason("changed", "from", one.detail, one.step) for one in told] or [
            Reason("changed", "from", "what it takes files from is another")
        ]
        differing = [key for key in differing if key[0] not in ("file", "from")]
    if any(kind == "argument" for kind, _ in differing):
        reasons.append(_command(old, new, next(key for key in differing if key[0] == "argument")))
    for key in differing:
        if key[0] in ("file", "parent", "argument"):
            continue
        state, files = new.get(key), tuple[Reason, ...]()
        if key[0] == "mount" and changed_mount is not None and _shows_others(old.get(key), state):
            change = changed_mount(Part(*key, old[key]), Part(*key, new[key]))
            files = tuple(_of_mount(key[1], change))
            state = change.state or state
            reasons += files
        source = _source(state, sources)
        if source is None:
            reasons += () if files else (_reason(key, old.get(key), new.get(key)),)
        else:
            reasons.append(Reason("changed", Part(*key, "").label, source.detail, source.step))
    if any(kind == "file" for kind, _ in differing):
        reasons += (changed_files() if changed_files else ()) or _whole_sources(old, new)
        if sources and not any(reason.step for reason in reasons):
            reasons += [Reason("changed", "from", one.detail, one.step) for one in sources.values()]
    # A changed parent comes last: it is rarely what the reader can act on if the step itself has a cause.
    if any(kind == "parent" for kind, _ in differing):
        reasons.append(parent or Reason("changed", "parent", "an earlier step changed"))
    return tuple(reasons) or (Reason("broken-record", "", "its record could not be used"),)


def _known_otherwise(old: _Values, new: _Values) -> bool:
    """Whether one list of parts has files by their content and the other by the state that they are of."""
    kinds = [{kind for kind, _ in values} & {"file", "from"} for values in (old, new)]
    return {"file"} in kinds and {"from"} in kinds


def _source(value: str | None, sources: Mapping[str, Reason] | None) -> Reason | None:
    """Why what a part takes files from is another."""
    words = (value or "").split(" ")
    return next((reason for state, reason in (sources or {}).items() if state in words), None)


def _shows_others(before: str | None, after: str | None) -> bool:
    """Whether two mounts differ in nothing but in the files that they show."""
    return before is not None and after is not None and _mount(before) == _mount(after)


def _of_mount(name: str, change: MountChange) -> Iterator[Reason]:
    """Files of a mount as they lie below it: `mount /src: a.c (content)`."""
    target = name.partition(" ")[2]
    for reason in change.files:
        path = reason.part.removeprefix("file").removeprefix(" ")
        inside = path.removeprefix(f"{change.root}/") if change.root else path
        if path == change.root:
            inside = path.rpartition("/")[2]
        detail = reason.detail.replace(path, inside, 1) if path else reason.detail
        yield Reason(reason.kind, f"mount {name} file {inside}".rstrip(), f"mount {target}: {detail}")


def _command(old: _Values, new: _Values, first: tuple[str, str]) -> Reason:
    """Another command: its last argument where only that is another, as it is in a shell, else all of them."""
    before, after = (
        [value for (kind, _), value in values.items() if kind == "argument"] for values in (old, new)
    )
    if before[:-1] == after[:-1]:
        before, after = before[-1:], after[-1:]
    texts = [" ".join(before), " ".join(after)]
    if texts[0].split() == texts[1].split() and len(before) != len(after):
        texts = [str(before), str(after)]  # the same words, parted in another way
    return Reason("changed", Part(*first, "").label, _compared("argument", "command", *texts))


def _reason(key: tuple[str, str], before: str | None, after: str | None) -> Reason:
    """One part that differs."""
    kind, name = key
    label = Part(kind, name, "").label
    shown = _LABELS.get(kind, f"{kind} {{}}").format(name).rstrip()
    if kind == "mount" and before is not None and after is not None:
        before, after = _mount(before), _mount(after)
        if before == after:
            return Reason("changed", label, f"{shown}: the files that it shows changed")
    if before is None:
        return Reason("added", label, f"{shown} is new{_told(': {}', key, after or '')}")
    if after is None:
        return Reason("removed", label, f"{shown} is gone{_told(' (was {})', key, before)}")
    return Reason("changed", label, _compared(kind, shown, before, after))


def _told(form: str, key: tuple[str, str], value: str) -> str:
    """The value of a part that came or went, if it says anything beside the part's being there."""
    kind, name = key
    says = kind in ("arg", "env") or (kind != "mount" and name != "reproducible" and value not in ("", "yes"))
    return form.format(_short(kind, value)) if says else ""


def _mount(value: str) -> str:
    """The options of a mount as they are written, without the fingerprint of what it shows."""
    words = (word for word in value.split(" ") if "=" in word or word in ("ro", "rw"))
    return " ".join(
        f"mode={int(word[5:]):04o}" if word[5:].isdecimal() and word.startswith("mode=") else word
        for word in words
    )


def _compared(kind: str, shown: str, before: str, after: str) -> str:
    """Two values in one line; of long ones the place where they begin to differ."""
    if before.split() == after.split():
        return f"{shown}: only blanks or line ends differ"
    start = 0
    if kind not in ("base", "from") and max(len(before), len(after)) > _SHOWN:
        pairs = enumerate(zip(before, after, strict=False))
        alike = next((at for at, (one, other) in pairs if one != other), min(len(before), len(after)))
        start = alike - _BEFORE if alike > _SHOWN - _BEFORE else 0
    return f"{shown}: {_short(kind, before, start)} → {_short(kind, after, start)}"


def _whole_sources(old: _Values, new: _Values) -> list[Reason]:
    """The sources of a COPY that differ, where no listing tells which files below them do."""
    reasons = []
    for kind, name in sorted(old.keys() | new.keys()):
        before, after = old.get((kind, name)), new.get((kind, name))
        if kind != "file" or before == after:
            continue
        what = "added" if before is None else "removed" if after is None else "changed"
        reasons.append(Reason(what, f"file {name}", f"{name or '.'} {what}"))
    return reasons


def _short(kind: str, value: str, start: int = 0) -> str:
    """A value as a message shows it, from a place on."""
    if kind in ("base", "from") and len(value) == 32:
        return value[:12]
    if not value and kind == "user":
        return "none"
    flat = value.replace("\n", "⏎")
    left = len(flat) - start
    flat = ("…" if start else "") + flat[start : start + _SHOWN] + ("…" if left > _SHOWN else "")
    return flat if flat and kind in ("arg", "env") and _PLAIN.issuperset(flat) else repr(flat)
