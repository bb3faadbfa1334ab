"""What words come to once their variables have values. No parser is needed for that."""

from __future__ import annotations

import re
from collections.abc import Callable

from builder.buildfile.globs import GlobError, match_ends, parse_glob
from builder.buildfile.syntax import Literal, Variable, Word
from builder.errors import BuildFileError

Lookup = Callable[[str], "str | None"]

_TEMPLATE = re.compile(r"\$(?:(\w+)|\{(\w+)\}|(\$))")


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
                "is not allowed to be empty" if operator == ":?" else "is not allowed to be unset"
            )
            raise BuildFileError(f"{part.name}: {reason}")
        return value or ""
    pattern = expand(part.argument, lookup)
    try:
        if kind in ("#", "##", "%", "%%"):
            return _strip(value or "", pattern, kind)
        assert part.replacement is not None
        replacement = expand(part.replacement, lookup)
        return _replace(value or "", pattern, replacement, everywhere=kind == "//")
    except GlobError as error:
        raise BuildFileError(f"bad pattern {pattern!r} in ${{{part.name}}}: {error}") from None


def _strip(value: str, pattern: str, kind: str) -> str:
    """Without its shortest (`#`, `%`) or longest (`##`, `%%`) beginning or end that matches."""
    glob = parse_glob(pattern)
    at_end = kind.startswith("%")
    if at_end:
        glob, value = glob[::-1], value[::-1]
    ends = match_ends(glob, value, 0)
    if ends:
        value = value[ends[-1] if len(kind) == 2 else ends[0] :]
    return value[::-1] if at_end else value


def _replace(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """The first match, or all, taken as long as possible; `//` reads `$name` in the replacement as Go does."""
    glob = parse_glob(pattern)
    found, at, last = [], 0, 0
    while at <= len(value):
        ends = match_ends(glob, value, at)
        if not ends:
            at += 1
            continue
        end = ends[-1]
        found.append(value[last:at])
        found.append(_fill(replacement, value[at:end]) if everywhere else replacement)
        last = end
        if not everywhere:
            break
        at = end if end > at else at + 1
    found.append(value[last:])
    return "".join(found)


def _fill(template: str, matched: str) -> str:
    """Go's regexp templates: there are no groups, so that all but `$0` are empty."""

    def name(match: re.Match[str]) -> str:
        if match[3]:
            return "$"
        return matched if (match[1] or match[2]) == "0" else ""

    return _TEMPLATE.sub(name, template)
