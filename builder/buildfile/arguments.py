"""The forms that arguments have: words split at blanks, words with quotes, JSON arrays, comma-separated fields.

Plain texts are split right here. What has quotes and escapes in it is the grammar's, which costs its loading.
"""

from __future__ import annotations

import re
from typing import Any

from builder.buildfile.blanks import BLANKS, PLAIN_WORD
from builder.buildfile.flags import FlagText
from builder.buildfile.jsonform import NotStringsError, parse_array
from builder.buildfile.line import Line
from builder.value import dataclass

_PLAIN_WORD = re.compile(PLAIN_WORD)
# A word without escapes whose quotes are all closed.
_CLOSED_WORD = re.compile(f"(?:[^{BLANKS}\"']++|\"[^\"]*+\"|'[^']*+')++")
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"')


@dataclass(slots=True)
class Piece:
    """A part of the arguments, and where it begins in the logical line.

    `length` is None where the text stands there letter for letter, else the length of what stands there.
    """

    text: str
    at: int
    length: int | None = None


def words(line: Line) -> list[Piece]:
    """Words split at blanks; quotes mean nothing here."""
    return [Piece(match[0], line.rest_at + match.start()) for match in _PLAIN_WORD.finditer(line.rest)]


def array(line: Line) -> list[Piece] | None:
    """The strings of a JSON array, None if the arguments are none: then they are text.

    An array with anything but strings is an error, as BuildKit has it.
    """
    try:
        strings = parse_array(line.rest)
    except NotStringsError as error:
        at = line.rest.find(error.item)
        simple = at >= 0 and error.item[0] not in "[{"
        raise line.error(
            "a JSON array of a command or of paths holds strings only",
            line.rest_at + max(at, 0),
            len(error.item) if at >= 0 else len(line.rest),
            f'put it in double quotes: "{error.item}"' if simple else "put every element in double quotes",
        ) from None
    if strings is None:
        return None
    found = []
    for text, match in zip(strings, _STRING.finditer(line.rest), strict=True):
        at = line.rest_at + match.start()
        if match[0][1:-1] == text:
            found.append(Piece(text, at + 1))
        else:
            found.append(Piece(text, at, len(match[0])))
    return found


def words_or_array(line: Line) -> list[Piece]:
    """The strings of a JSON array, else words split at blanks."""
    strings = array(line)
    return words(line) if strings is None else strings


def quoted_words(line: Line) -> list[Piece]:
    """Words in which quotes and escapes hold blanks together; both stay."""
    text = line.rest
    if line.escape not in text:
        found, end = [], 0
        for match in _CLOSED_WORD.finditer(text):
            if text[end : match.start()].strip(BLANKS):
                break
            found.append(Piece(match[0], line.rest_at + match.start()))
            end = match.end()
        if not text[end:].strip(BLANKS):
            return found
    from builder.buildfile.grammar import line_grammar

    tree: Any = line_grammar(line.escape).parse(text, "pairs")
    found = [
        Piece(str(token), line.rest_at + token.start_pos)
        for token in tree.children
        if token.type == "QUOTED_WORD"
    ]
    if found:  # an escape at the very end escapes nothing, and goes
        last = found[-1].text
        if (len(last) - len(last.rstrip(line.escape))) % 2:
            found[-1].text = last[:-1]
        if not found[-1].text:
            found.pop()
    return found


def fields(line: Line, flag: FlagText) -> list[Piece] | None:
    """The comma-separated fields of a flag's value, quotes removed; None if they cannot be read."""
    text = flag.value or ""
    at = flag.value_at
    length = None if flag.plain else flag.length
    if '"' not in text:
        found = []
        for part in text.split(","):
            found.append(Piece(part, at if flag.plain else flag.at, length))
            at += len(part) + 1
        return found
    from builder.buildfile.grammar import line_grammar
    from builder.buildfile.lalr import ParseError

    try:
        tree: Any = line_grammar(line.escape).parse(text, "fields")
    except ParseError:
        return None
    found = []
    for item in tree.children:
        part = str(item.children[0]) if item.children else ""
        if item.data == "quoted_field":
            part = part[1:-1].replace('""', '"')
        found.append(Piece(part, flag.at, flag.length))
    return found
