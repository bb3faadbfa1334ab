"""What progress lines call a step: `[build 2/5] RUN make`."""

from __future__ import annotations

from collections.abc import Callable

from builder.buildfile.syntax import BuildFile, Copy, Heredoc, Instruction, Run, Workdir
from builder.graph.stages import ContextBase, ImageBase, Stage

MASK = "****"
"""Stands for the value of a secret's variable."""


def count_steps(stage: Stage, triggers: int = 0) -> int:
    """The `n` of a stage: its base, if that is fetched, all triggers, and the lines that make layers."""
    base = isinstance(stage.base, ImageBase | ContextBase)
    return base + triggers + sum(isinstance(line, Copy | Run | Workdir) for line in stage.instructions)


def source_title(stage: Stage, name: str) -> str:
    """What an image is called that files are taken from: `[build] FROM debian:12`."""
    return f"[{stage.name or 'context'}] FROM {name}"


def step_title(stage: Stage, number: int, total: int, text: str, *, trigger: bool = False) -> str:
    """Put a step's place before its text."""
    if total == 0:
        return text
    place = f"{stage.label} " if stage.label else ""
    return f"[{place}{number:>{len(str(total))}}/{total}] {'ONBUILD ' if trigger else ''}{text}"


def instruction_text(file: BuildFile, instruction: Instruction) -> str:
    """An instruction on one line, its name in capitals, without comments and heredoc bodies."""
    escape = next((item.value for item in file.directives if item.name == "escape"), "\\")
    found = ""
    for line in instruction.source.splitlines():
        text = line.strip()
        if not text or (found and text.startswith("#")):
            continue
        goes_on = text.endswith(escape)
        found += (" " if found else "") + (text[:-1].rstrip() if goes_on else text)
        if not goes_on:
            break
    name, _, rest = found.partition(" ")
    return f"{name.upper()} {rest}".rstrip()


def heredoc_summary(heredoc: Heredoc) -> str:
    """The first line of a script, with dots if there are more."""
    lines = heredoc.body.strip().splitlines() or [""]
    return f" ({lines[0]}{'...' if len(lines) > 1 else ''})"


def show_values(text: str, lookup: Callable[[str], str | None]) -> str:
    """Put in the values of `$name` and `${name}` that are set, for eyes only: all else stays as written."""
    found = []
    index, quoted = 0, False
    while index < len(text):
        sign = text[index]
        if sign == "\\" and not quoted:
            found.append(text[index : index + 2])
            index += 2
            continue
        if sign == "'":
            quoted = not quoted
        if sign == "$" and not quoted:
            name, end = _name_at(text, index + 1)
            value = lookup(name) if name else None
            if value is not None:
                found.append(value)
                index = end
                continue
        found.append(sign)
        index += 1
    return "".join(found)


def _name_at(text: str, start: int) -> tuple[str, int]:
    """The variable name at a place, and where the text goes on behind it; empty if there is no plain name."""
    braced = text.startswith("{", start)
    first = end = start + braced
    while end < len(text) and (text[end] == "_" or (text[end].isascii() and text[end].isalnum())):
        end += 1
    name = text[first:end]
    if not name or name[0].isdigit():
        return "", end
    if braced:
        return (name, end + 1) if text.startswith("}", end) else ("", end)
    return name, end
