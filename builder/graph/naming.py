"""Names of steps as people give them: `build/2` or the text of an instruction, from what progress lines show."""

from __future__ import annotations

from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class StepName:
    """What a title says: the label of its stage (empty for a lone one), its number and how many there are, and its text."""

    stage: str
    number: int
    total: int
    text: str


def read_title(title: str) -> StepName | None:
    """The parts of a title, None for what is no step of a stage."""
    place, mark, text = title.partition("] ")
    if not mark or not place.startswith("["):
        return None
    stage, _, numbers = place[1:].rpartition(" ")
    number, slash, total = numbers.partition("/")
    if not slash or not number.isdecimal() or not total.isdecimal():
        return None
    return StepName(stage.strip(), int(number), int(total), text.removeprefix("ONBUILD "))


def is_called(title: str, name: str, *, stage: str = "") -> bool:
    """Whether a step is what a name says: `build/2`, `2` in a lone stage, `[build 2/5]`, the whole title, or its text.

    `stage` is a further name of its stage.
    """
    if title == name:
        return True
    parts = read_title(title)
    if parts is None:
        return False
    if " ".join(name.split()) == " ".join(parts.text.split()):
        return True
    wanted = "/".join(name[1:-1].split()) if name.startswith("[") and name.endswith("]") else name
    *before, last = wanted.split("/")
    if before and before[-1].isdecimal() and last.isdecimal():  # with the number of steps behind it
        if int(last) != parts.total:
            return False
        *before, last = before
    if len(before) > 1 or not last.isdecimal() or int(last) != parts.number:
        return False
    called = before[0].lower() if before else ""
    return called == parts.stage.lower() or bool(called and called == stage.lower())
