"""Errors as text for people: where, the line with the very words marked, what happened, what to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from builder.errors import BuilderError, BuildFileError, CommandError, Location, StepError
from builder.report.harmless import harmless

# A longer line of a build file is shown around the words that matter.
_LINE = 120
_LAST_LINES = 20


def error_text(error: BuilderError, *, output: bool = True) -> str:
    """All that there is to say about an error, ending in a line end.

    `output` includes the last output of a command that failed; a display that has just shown it leaves it out.
    """
    lines = list(_one(error))
    if isinstance(error, BuildFileError | StepError):
        for other in error.others:
            lines += _one(other)
    if output and isinstance(error, CommandError) and error.output:
        from builder.report.lines import last_lines  # late: for failed commands only

        lines += last_lines(error.output.decode(errors="replace"), _LAST_LINES)
    return "\n".join(lines) + "\n"


def _one(error: BuilderError) -> Iterator[str]:
    place = error.location
    yield f"{_place(place)}error: {_words(error.message)}"
    if place is not None and place.source:
        yield from marked_line(place)
    if error.hint:
        yield f"  hint: {_words(error.hint)}"


def _words(text: str) -> str:
    """A text for people. In one that was quoted, bytes that are no UTF-8 are written as bytes, not as Python's stand-ins."""
    if "\\udc" in text:
        text = re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", text)
    return harmless(text)


def _place(place: Location | None) -> str:
    return "" if place is None else f"{harmless(str(place))}: "


def marked_line(place: Location) -> tuple[str, str]:
    """The line of a place, and a line below it with carets under its words."""
    start = min(max(place.column - 1, 0), len(place.source))
    width = max(1, min(place.width, len(place.source) - start))
    from builder.remote.addresses import masked  # late: for errors only

    source = masked(place.source.rstrip("\r\n"))
    if not source.isascii():  # bytes that are no UTF-8 take one column, as editors show them
        source = "".join(["\ufffd" if "\udc80" <= sign <= "\udcff" else sign for sign in source])
    cut = 0
    if len(source) > _LINE:
        cut = max(0, min(start - _LINE // 3, len(source) - _LINE))
        source = ("…" if cut else "") + source[cut : cut + _LINE] + ("…" if cut + _LINE < len(source) else "")
        start += (1 if cut else 0) - cut
        width = min(width, len(source) - start) or 1
    before = source[:start]
    # A tab stays a tab, so that the mark stands right whatever a terminal makes of it.
    indent = "".join("\t" if sign == "\t" else " " * columns(sign) for sign in before)
    mark = "^" * max(1, sum(columns(sign) for sign in source[start : start + width]))
    return f"  {harmless(source)}", f"  {indent}{mark}"


def columns(sign: str) -> int:
    """How many columns of a terminal a character takes."""
    if sign.isascii():
        return 1
    from unicodedata import combining, east_asian_width

    return 0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1


def system_error_text(error: OSError) -> str:
    """An error of the system that no part of the program made a `BuilderError` of."""
    named = f"{error.filename}: " if error.filename is not None else ""
    text = f"error: {harmless(f'{named}{error.strerror or error}')}\n"
    if error.errno == errno.ESTALE:
        text += "  hint: what is on a network file system was changed by its server; keep the store on a local disk\n"
    return text


def mistake_text(error: Exception) -> str:
    """An error that should not be possible, in a form that can be reported."""
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename.rpartition('/builder/')[2]}:{last.lineno}"
    return (
        f"error: a mistake in pybuild itself: {type(error).__name__}: {harmless(str(error))} ({place})\n"
        "  hint: please report it, with the output of the same command with PYBUILD_DEBUG=1 set\n"
    )
