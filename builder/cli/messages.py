"""Errors as people read them: what, where with the text and a caret, what to do."""

from __future__ import annotations

from builder.errors import BuilderError, BuildFileError, CommandError, Location

_LONGEST = 200
# Lines of a failed command's output that are shown again.
_OUTPUT_LINES = 20


def render_error(error: BuilderError) -> str:
    """An error with everything that belongs to it, ending in a newline."""
    lines: list[str] = []
    if isinstance(error, CommandError) and error.output:
        lines.extend(_output(error.output))
    lines.extend(_one(error))
    if isinstance(error, BuildFileError):
        for other in error.others:
            lines.append("")
            lines.extend(_one(other))
    return "\n".join(lines) + "\n"


def _one(error: BuilderError) -> list[str]:
    if error.location is None:
        lines = [f"pybuild: {error.message}"]
    else:
        lines = [f"{error.location}: {error.message}", *_excerpt(error.location)]
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    return [printable(line) for line in lines]


def _excerpt(location: Location) -> list[str]:
    """The line of the file, with a caret under every character that the error is about."""
    if not location.source:
        return []
    source, column = location.source, location.column
    if len(source) > _LONGEST:  # show the part that matters
        start = max(0, column - _LONGEST // 2)
        source, column = "…" + source[start : start + _LONGEST], column - start + 1
    number = str(location.line)
    width = max(1, min(location.width, len(source) - column + 1))
    blank = "".join("\t" if character == "\t" else " " for character in source[: column - 1])
    return [f"  {number} | {source}", f"  {' ' * len(number)} | {blank}{'^' * width}"]


def _output(output: bytes) -> list[str]:
    lines = output.decode("utf-8", "replace").splitlines()[-_OUTPUT_LINES:]
    return ["the command's last output:", *(f"  {printable(line)}" for line in lines)]


def printable(text: str) -> str:
    """Text that does nothing to a terminal but appear."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\t" else f"\\x{ord(character):02x}"
        for character in text
    )
