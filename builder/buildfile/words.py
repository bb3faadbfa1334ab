"""What words come to once their variables have values. No parser is needed for that."""

from __future__ import annotations

import re
from collections.abc import Callable

from builder.buildfile.syntax import Literal, Variable, Word
from builder.errors import BuildFileError

Lookup = Callable[[str], "str | None"]

_TEMPLATE = r"\$(?:(\w+)|\{(\w+)\}|(\$))"


class ExpandError(BuildFileError):
    """A variable that cannot be expanded; `variable` is how it begins in the text."""

    def __init__(self, message: str, name: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.variable = f"${{{name}"


def expand(word: Word, lookup: Lookup) -> str:
    """The text of a word. `lookup` gives a variable's value, None if it is unset.

    What stands in braces has its value first, whether it is needed or not: as in BuildKit, and unlike in a shell,
    `${a:-${b:?text}}` is a mistake without `b` even if `a` is set.
    A `BuildFileError` (without a location: the caller knows it) tells of `${name:?text}` and of bad patterns.
    """
    found: list[str] = []
    opened: list[
        tuple[Variable, int]
    ] = []  # each with where its argument or replacement begins in what is found
    rests: list[str | None] = []  # of those with a replacement: see `_replace`
    for part in word.parts:
        if isinstance(part, Literal):
            found.append(part.text)
        elif isinstance(part, Variable):
            if part.operator:
                opened.append((part, len(found)))
            else:
                found.append(lookup(part.name) or "")
        elif part.sign == "/":
            variable, start = opened[-1]
            rests.append(_replace(variable, lookup(variable.name) or "", found, start))
            opened[-1] = (variable, len(found))
        else:
            variable, start = opened.pop()
            value = lookup(variable.name)
            if variable.operator.startswith("/"):
                _replaced(variable, value or "", found, start, rests.pop())
            else:
                _close(variable, value, found, start)
    return "".join(found)


def _close(part: Variable, value: str | None, found: list[str], start: int) -> None:
    """Put what a variable comes to in the place of its argument, which begins at `start`."""
    operator = part.operator
    missing = value is None or (operator.startswith(":") and not value)
    kind = operator.lstrip(":")
    if kind == "-" and missing:
        return
    if kind == "+":
        if missing:
            del found[start:]
        return
    if kind == "?" and missing:
        reason = "".join(found[start:]) or (
            "is not allowed to be unset" if value is None else "is not allowed to be empty"
        )
        raise ExpandError(
            f"{part.name}: {reason}",
            part.name,
            f"give it a value: --build-arg {part.name}=… with an ARG {part.name} above, or ENV",
        )
    result = value or ""
    if kind not in "-?":
        result = _strip(part, result, "".join(found[start:]))
    found[start:] = [result]


def _strip(part: Variable, value: str, pattern: str) -> str:
    """Without its shortest (`#`, `%`) or longest (`##`, `%%`) beginning or end that matches."""
    from builder.buildfile.globs import GlobError, match_beginning, parse_glob

    try:
        glob = parse_glob(pattern)
    except GlobError as error:
        raise _bad_pattern(part, pattern, error) from None
    at_end = part.operator.startswith("%")
    if at_end:
        glob, value = glob[::-1], value[::-1]
    end = match_beginning(glob, value, longest=len(part.operator) == 2)
    value = value[end or 0 :]
    return value[::-1] if at_end else value


def _replace(part: Variable, value: str, found: list[str], start: int) -> str | None:
    """Put what comes before the replacement in the place of the pattern, which begins at `start`.

    Gives what comes behind the replacement: with `/` the rest of the value, None if nothing matches; with `//` the pattern.
    """
    from builder.buildfile.globs import GlobError, matches, parse_glob

    pattern = "".join(found[start:])
    del found[start:]
    try:
        glob = parse_glob(pattern)
    except GlobError as error:
        raise _bad_pattern(part, pattern, error) from None
    if part.operator == "//":
        return pattern
    begin, end = next(matches(glob, value), (-1, -1))
    if begin < 0:
        return None
    found.append(value[:begin])
    return value[end:]


def _replaced(part: Variable, value: str, found: list[str], start: int, rest: str | None) -> None:
    """Take note of what comes behind a replacement, which begins at `start`.

    A match is as long as possible. `//` reads `$name` in the replacement as Go does.
    """
    if part.operator == "/":
        if rest is None:
            found[start:] = [value]
        else:
            found.append(rest)
        return
    from builder.buildfile.globs import matches, parse_glob

    replacement = "".join(found[start:])
    del found[start:]
    last = 0
    for begin, end in matches(parse_glob(rest or ""), value):
        found += value[last:begin], _fill(replacement, value[begin:end])
        last = end
    found.append(value[last:])


def _bad_pattern(part: Variable, pattern: str, error: Exception) -> ExpandError:
    return ExpandError(
        f"bad pattern {pattern[:80]!r} in ${{{part.name}}}: {error}",
        part.name,
        "in patterns a backslash makes one of * ? \\ } / plain, and goes before nothing else",
    )


def _fill(template: str, matched: str) -> str:
    """Go's regexp templates: there are no groups, so that all but `$0` are empty."""

    def name(match: re.Match[str]) -> str:
        if match[3]:
            return "$"
        return matched if (match[1] or match[2]) == "0" else ""

    return re.sub(_TEMPLATE, name, template)
