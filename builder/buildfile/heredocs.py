"""Which here-documents a logical line opens: decided on shell words, before any grammar can see the line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builder.buildfile.lines import LogicalLine, RawHeredoc

_TAKE_THEM = frozenset({"RUN", "COPY", "ADD"})
_OPENING = re.compile(r"\d*<<(-?)([^<]*)\Z", re.DOTALL)
# One shell word: quoted parts, $(…) and ${…} hold blanks together. The escape is always a backslash here.
_WORD = re.compile(
    r"""(?:\\.|"(?:[^"\\]|\\.)*(?:"|\Z)|'[^']*(?:'|\Z)|\$\{[^}]*(?:\}|\Z)|[^\s"'\\]|\\\Z)+""", re.DOTALL
)
_QUOTES = re.compile(r"""\\(.)|["']""", re.DOTALL)


def find_heredocs(line: LogicalLine, escape: str) -> list[RawHeredoc]:
    """The here-documents of a line of RUN, COPY or ADD (or ONBUILD of those), in their order."""
    del escape
    if "<<" not in line.text:
        return []
    keyword, _, rest = line.text.partition(" ")
    keyword = keyword.upper()
    if keyword == "ONBUILD":
        keyword, _, rest = rest.lstrip().partition(" ")
        keyword = keyword.upper()
    if keyword not in _TAKE_THEM or _is_array(rest):
        return []
    return list(openings(rest))


def _is_array(text: str) -> bool:
    """Whether arguments are in JSON form, flags aside: that form has no here-documents."""
    if "[" not in text:
        return False
    words = text.split()
    while words and words[0].startswith("--"):
        words.pop(0)
    if not words or not words[0].startswith("["):
        return False
    import json

    try:
        return isinstance(json.loads(text[text.index(words[0]) :].strip()), list)
    except ValueError:
        return False


def openings(text: str) -> Iterator[RawHeredoc]:
    """The here-documents that words of a text open."""
    words = [match[0] for match in _WORD.finditer(text)]
    for number, word in enumerate(words):
        found = opening(word)
        if found is None and re.fullmatch(r"\d*<<-?", word) and number + 1 < len(words):
            found = opening(word + words[number + 1])
        if found is not None:
            yield found


def opening(word: str) -> RawHeredoc | None:
    """The here-document that a word opens, None for any other word."""
    match = _OPENING.match(word)
    if match is None or not match[2]:
        return None
    name = _QUOTES.sub(lambda quote: quote[1] or "", match[2])
    if not name or any(blank in name for blank in " \t\n"):
        return None
    return RawHeredoc(name, expand=name == match[2], strip_tabs=bool(match[1]))
