"""The patterns of `${name#pattern}` and its like: `*` and `?`, matched in time that grows with the text only.

A pattern is cut at its stars into segments. Wherever the first segment is found first, the others follow if they can
follow anywhere, so that no place is ever tried twice. As with Go's expressions neither sign stands for a line's end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from builder.value import dataclass

_ESCAPABLE = frozenset("*?\\}/")


class GlobError(ValueError):
    """A pattern with an escape that means nothing."""


class Wild(Enum):
    """What is no plain character in a pattern."""

    ONE = "?"
    ANY = "*"


Glob = tuple["str | Wild", ...]


def parse_glob(pattern: str) -> Glob:
    r"""Read a pattern: `*` is any text, `?` any character, a backslash makes one of `*?\}/` plain."""
    found: list[str | Wild] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            escaped = next(characters, None)
            if escaped not in _ESCAPABLE or escaped is None:
                raise GlobError(f"invalid escape \\{escaped or ''}")
            found.append(escaped)
        elif character in "*?":
            found.append(Wild(character))
        else:
            found.append(character)
    return tuple(found)


def match_beginning(glob: Glob, text: str, *, longest: bool) -> int | None:
    """Where the shortest or longest beginning of a text that matches ends, None if none does."""
    matcher = _compile(glob)
    stop = len(text) if matcher.crosses else _line_end(text, 0)
    found = matcher.match(text, 0, stop, anchored=True, longest=longest)
    return None if found is None else found[1]


def matches(glob: Glob, text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of all matches in a text, from left to right, each as long as possible."""
    matcher = _compile(glob)
    start, last = 0, -1
    while start <= len(text):
        stop = len(text) if matcher.crosses else _line_end(text, start)
        found = matcher.match(text, start, stop, anchored=False, longest=True)
        if found is None:
            start = stop + 1
            continue
        begin, end = found
        if begin == end == last:  # nothing, right behind a match, is no match
            start = end + 1
            continue
        yield begin, end
        last = end
        start = end if end > begin else end + 1


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


@dataclass(frozen=True, slots=True)
class _Segment:
    """What stands between two stars: plain text, or an expression if there are question marks in it."""

    size: int
    plain: str | None
    forward: re.Pattern[str] | None
    backward: re.Pattern[str] | None

    def at(self, text: str, start: int, stop: int) -> bool:
        if self.plain is not None:
            return text.startswith(self.plain, start, stop)
        assert self.forward is not None
        return self.forward.match(text, start, stop) is not None

    def first(self, text: str, start: int, stop: int) -> int:
        if self.plain is not None:
            return text.find(self.plain, start, stop)
        assert self.forward is not None
        found = self.forward.search(text, start, stop)
        return found.start() if found else -1

    def last(self, text: str, start: int, stop: int) -> int:
        if self.plain is not None:
            return text.rfind(self.plain, start, stop)
        assert self.backward is not None
        found = self.backward.search(text[start:stop][::-1])
        return stop - found.end() if found else -1


@dataclass(frozen=True, slots=True)
class _Matcher:
    """A pattern's segments. `crosses` is whether it has line ends of its own, so that lines are not looked at."""

    segments: tuple[_Segment, ...]
    crosses: bool

    def match(
        self, text: str, start: int, stop: int, *, anchored: bool, longest: bool
    ) -> tuple[int, int] | None:
        first, *others = self.segments
        if anchored:
            begin = start if first.at(text, start, stop) else -1
        else:
            begin = first.first(text, start, stop)
        if begin < 0:
            return None
        end = begin + first.size
        for number, segment in enumerate(others):
            is_last = number == len(others) - 1
            at = (segment.last if is_last and longest else segment.first)(text, end, stop)
            if at < 0:
                return None
            end = at + segment.size
        return begin, end


def _compile(glob: Glob) -> _Matcher:
    segments: list[list[str | Wild]] = [[]]
    for token in glob:
        if token is Wild.ANY:
            segments.append([])
        else:
            segments[-1].append(token)
    # Stars that follow one another are one.
    kept = [part for number, part in enumerate(segments) if part or number in (0, len(segments) - 1)]
    return _Matcher(tuple([_segment(part) for part in kept]), "\n" in glob)


def _segment(tokens: list[str | Wild]) -> _Segment:
    if Wild.ONE not in tokens:
        return _Segment(len(tokens), "".join([str(token) for token in tokens]), None, None)
    parts = ["." if token is Wild.ONE else re.escape(str(token)) for token in tokens]
    return _Segment(len(tokens), None, re.compile("".join(parts)), re.compile("".join(reversed(parts))))
