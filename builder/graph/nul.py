"""NUL characters: a config may have them, but no path, command or variable of a process can."""

from __future__ import annotations

from collections.abc import Iterator

from builder.buildfile.syntax import Instruction
from builder.graph.draft import Draft
from builder.graph.places import narrow
from builder.value import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHOWN = ("title", "span")


def refuse_nul(draft: Draft, line: Instruction) -> None:
    """Refuse the step that was planned last, that of `line`, if a text of it has a NUL character."""
    step = draft.steps[-1]
    for field in fields(step):
        if field.name in _SHOWN:
            continue
        for text in _texts(getattr(step, field.name)):
            if "\0" in text:
                name = text.partition("=")[0] if field.name == "env" else ""
                what = f"the variable {name}" if name else "the line"
                raise draft.bad(
                    narrow(draft.graph.file, line.span, "\0"),
                    f"{what} has a NUL character: no path, command or variable of a process can have one",
                    "remove it",
                )


def _texts(value: Any) -> Iterator[str]:
    """The texts that a field holds; contents of files are none. Pairs are NAME=VALUE."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple) and len(value) == 2 and all(isinstance(item, str) for item in value):
        yield "=".join(value)
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)
    elif hasattr(value, "__slots__"):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))
