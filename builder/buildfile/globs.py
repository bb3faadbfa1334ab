"""The patterns of `${name#pattern}` and its like: `*` and `?`, matched without ever going back."""

from __future__ import annotations

from enum import Enum

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


def match_ends(glob: Glob, text: str, start: int) -> list[int]:
    """Where a match that begins at `start` may end, in rising order: all states are followed at once."""
    size = len(glob)
    states = _closure({0}, glob)
    ends = [start] if size in states else []
    for at in range(start, len(text)):
        following = set()
        for state in states:
            if state == size:
                continue
            token = glob[state]
            if token is Wild.ANY:
                following.add(state)
            elif token is Wild.ONE or token == text[at]:
                following.add(state + 1)
        if not following:
            break
        states = _closure(following, glob)
        if size in states:
            ends.append(at + 1)
    return ends


def _closure(states: set[int], glob: Glob) -> set[int]:
    found = set(states)
    for state in states:
        now = state
        while now < len(glob) and glob[now] is Wild.ANY:
            now += 1
            found.add(now)
    return found
