"""The flags of a line: words that begin with `--`, directly behind the keyword."""

from __future__ import annotations

import re
from typing import Any

from builder.buildfile.blanks import BLANKS
from builder.buildfile.grammar import line_grammar
from builder.value import dataclass

_QUOTED = re.compile("[\"'\\\\`]")


@dataclass(slots=True)
class FlagText:
    """A flag as written, its quotes removed; `value` is None without `=`. `at` is where it stands in the line.

    `value_at` is where its value begins, `plain` whether the value stands there letter for letter.
    """

    name: str
    value: str | None
    at: int
    length: int
    value_at: int = 0
    plain: bool = True
    open_quote: int | None = None


@dataclass(slots=True)
class Split:
    """A logical line taken apart: its keyword, its flags, and the arguments behind them, stripped of blanks."""

    keyword: str
    keyword_at: int
    flags: list[FlagText]
    rest: str
    rest_at: int


def split_line(text: str, escape: str) -> Split:
    """Take a logical line apart by the grammar, for the escape character of the file."""
    tree: Any = line_grammar(escape).parse(text, "line")
    keyword, *others = tree.children
    split = Split(str(keyword), keyword.start_pos, [], "", len(text))
    for token in others:
        if token.type == "FLAG":
            flag = _flag(str(token), token.start_pos, escape)
            if not flag.name and flag.value is None:  # `--""` is no more than `--`
                rest = text[flag.at + flag.length :].lstrip(BLANKS)
                split.rest, split.rest_at = rest.rstrip(BLANKS), len(text) - len(rest)
                break
            split.flags.append(flag)
        elif token.type != "END_OF_FLAGS":
            split.rest = token.strip(BLANKS)
            split.rest_at = token.start_pos + len(token) - len(token.lstrip(BLANKS))
    return split


def _flag(text: str, at: int, escape: str) -> FlagText:
    written, open_quote = (text, None) if _QUOTED.search(text) is None else _unquote(text, at, escape)
    name, mark, value = written[2:].partition("=")
    value_at = at + text.index("=") + 1 if mark else at
    plain = len(text) == len(written)
    return FlagText(name, value if mark else None, at, len(text), value_at, plain, open_quote)


def _unquote(text: str, start: int, escape: str) -> tuple[str, int | None]:
    """A flag without its quotes and escapes, and where a quote that is never closed begins."""
    found, quote, opened, at = [], "", 0, 0
    while at < len(text):
        sign = text[at]
        at += 1
        if sign == escape:
            found.append(text[at : at + 1])
            at += 1
        elif quote:
            if sign == quote:
                quote = ""
            else:
                found.append(sign)
        elif sign in "'\"":
            quote, opened = sign, start + at - 1
        else:
            found.append(sign)
    return "".join(found), opened if quote else None
