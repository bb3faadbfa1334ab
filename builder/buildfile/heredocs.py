"""Which here-documents a logical line opens: decided on shell words, before any grammar can see the line."""

from __future__ import annotations

import re

from builder.buildfile.jsonform import is_array
from builder.buildfile.lines import LogicalLine, RawHeredoc
from builder.buildfile.shellwords import ShellWordError, shell_words

_TAKE_THEM = frozenset({"RUN", "COPY", "ADD"})
_OPENING = re.compile(r"[0-9]*<<(-?)[\t\n\f\r ]*([^<]*)\Z")


def find_heredocs(line: LogicalLine, escape: str) -> list[RawHeredoc]:
    """The here-documents of a line of RUN, COPY or ADD (or ONBUILD of those), in their order."""
    if "<<" not in line.text:
        return []
    from builder.buildfile.flags import split_line

    split = split_line(line.text, escape)
    if split.keyword.upper() == "ONBUILD" and split.rest:
        split = split_line(split.rest, escape)
    if split.keyword.upper() not in _TAKE_THEM or is_array(split.rest):
        return []
    return openings(line.text)


def openings(text: str) -> list[RawHeredoc]:
    """The here-documents that the words of a text open; a text that is no list of words opens none."""
    try:
        words = shell_words(text, raw=True)
    except ShellWordError:
        return []
    return [found for word in words if "<<" in word and (found := opening(word)) is not None]


def opening(word: str) -> RawHeredoc | None:
    """The here-document that a word opens, None for any other word.

    Its name is what a shell makes of the word. Quotes in any part mean that nothing in the body is expanded.
    """
    match = _OPENING.match(word)
    if match is None or not match[2]:
        return None
    try:
        names = shell_words(match[2], raw=False)
        quoted = shell_words(match[2], raw=False, keep_quotes=True)
    except ShellWordError:
        return None
    if len(names) != 1 or len(quoted) != 1:
        return None
    return RawHeredoc(names[0], expand=_quotes(names[0]) == _quotes(quoted[0]), strip_tabs=bool(match[1]))


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
