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

    A `BuildFileError` (without a location: the caller knows it) tells of `${name:?text}` and of bad patterns.
    """
    return "".join(part.text if isinstance(part, Literal) else _variable(part, lookup) for part in word.parts)


def _variable(part: Variable, lookup: Lookup) -> str:
    value = lookup(part.name)
    operator = part.operator
    if not operator:
        return value or ""
    assert part.argument is not None
    missing = value is None or (operator.startswith(":") and not value)
    kind = operator.lstrip(":")
    if kind == "-":
        return expand(part.argument, lookup) if missing else value or ""
    if kind == "+":
        return "" if missing else expand(part.argument, lookup)
    if kind == "?":
        if missing:
            reason = expand(part.argument, lookup) or (
                "is not allowed to be unset" if value is None else "is not allowed to be empty"
            )
            raise ExpandError(
                f"{part.name}: {reason}",
                part.name,
                f"give it a value: --build-arg {part.name}=… with an ARG {part.name} above, or ENV",
            )
        return value or ""
    from builder.buildfile.globs import GlobError

    pattern = expand(part.argument, lookup)
    try:
        if kind in ("#", "##", "%", "%%"):
            return _strip(value or "", pattern, kind)
        assert part.replacement is not None
        replacement = expand(part.replacement, lookup)
        return _replace(value or "", pattern, replacement, everywhere=kind == "//")
    except GlobError as error:
        raise ExpandError(
            f"bad pattern {pattern[:80]!r} in ${{{part.name}}}: {error}",
            part.name,
            "in patterns a backslash makes one of * ? \\ } / plain, and goes before nothing else",
        ) from None


def _strip(value: str, pattern: str, kind: str) -> str:
    """Without its shortest (`#`, `%`) or longest (`##`, `%%`) beginning or end that matches."""
    from builder.buildfile.globs import match_beginning, parse_glob

    glob = parse_glob(pattern)
    at_end = kind.startswith("%")
    if at_end:
        glob, value = glob[::-1], value[::-1]
    end = match_beginning(glob, value, longest=len(kind) == 2)
    value = value[end or 0 :]
    return value[::-1] if at_end else value


def _replace(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """The first match, or all, taken as long as possible; `//` reads `$name` in the replacement as Go does."""
    from builder.buildfile.globs import matches, parse_glob

    found, last = [], 0
    for begin, end in matches(parse_glob(pattern), value):
        found.append(value[last:begin])
        found.append(_fill(replacement, value[begin:end]) if everywhere else replacement)
        last = end
        if not everywhere:
            break
    return "".join([*found, value[last:]])


def _fill(template: str, matched: str) -> str:
    """Go's regexp templates: there are no groups, so that all but `$0` are empty."""

    def name(match: re.Match[str]) -> str:
        if match[3]:
            return "$"
        return matched if (match[1] or match[2]) == "0" else ""

    return re.sub(_TEMPLATE, name, template)
