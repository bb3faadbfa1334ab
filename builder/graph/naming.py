"""Names of steps as people give them: `build/2` or the text of an instruction, from what progress lines show."""

from __future__ import annotations

import re

from builder.value import dataclass

_TITLE = re.compile(r"\[(?:(?P<stage>\S+) +)?(?P<number> *\d+)/(?P<total>\d+)\] (?P<text>.*)\Z", re.DOTALL)
_PLACE = re.compile(r"(?:(?P<stage>[^/\s]+)/)?(?P<number>\d+)(?:/(?P<total>\d+))?\Z")


@dataclass(frozen=True, slots=True)
class StepName:
    """What a title says: the label of its stage (empty for a lone one), its number and how many there are, and its text."""

    stage: str
    number: int
    total: int
    text: str


def read_title(title: str) -> StepName | None:
    """The parts of a title, None for what is no step of a stage."""
    found = _TITLE.match(title)
    if found is None:
        return None
    return StepName(
        found["stage"] or "",
        int(found["number"]),
        int(found["total"]),
        found["text"].removeprefix("ONBUILD "),
    )


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
    place = _PLACE.match(name.strip("[]").replace(" ", "/") if name.startswith("[") else name)
    if place is None or int(place["number"]) != parts.number:
        return False
    if place["total"] is not None and int(place["total"]) != parts.total:
        return False
    wanted = (place["stage"] or "").lower()
    return wanted == parts.stage.lower() or bool(wanted and wanted == stage.lower())
