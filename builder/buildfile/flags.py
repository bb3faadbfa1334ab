"""The flags of a line: words that begin with `--`, directly behind the keyword."""

from __future__ import annotations

import re
from typing import Any

from builder.buildfile.blanks import ANY_BLANK, BLANKS, NO_BLANK
from builder.value import dataclass

_SPACES = re.compile(f"{ANY_BLANK}*")
_WORD = re.compile(f"{NO_BLANK}+")
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
    """Flags, and the arguments behind them, which begin at `rest_at`."""

    flags: list[FlagText]
    rest: str
    rest_at: int


def split_flags(text: str, at: int, escape: str) -> Split:
    """Take the flags off a logical line from a place on: the end of its keyword."""
    flags: list[FlagText] = []
    while True:
        match = _SPACES.match(text, at)
        at = match.end() if match else at
        if not text.startswith("--", at):
            break
        word = _WORD.match(text, at)
        assert word is not None
        if _QUOTED.search(word[0]) is None:
            written, end, open_quote = word[0], word.end(), None
        else:
            quoted = _quoted_flag(text, at, escape)
            written, open_quote = _unquote(quoted, at, escape)
            end = at + len(quoted)
        if written == "--":
            match = _SPACES.match(text, end)
            at = match.end() if match else end
            break
        name, mark, value = written[2:].partition("=")
        plain = end - at == len(written)
        value_at = (text.find("=", at, end) + 1) or at
        flags.append(FlagText(name, value if mark else None, at, end - at, value_at, plain, open_quote))
        at = end
    return Split(flags, text[at:].rstrip(BLANKS), min(at, len(text)))


def _quoted_flag(text: str, at: int, escape: str) -> str:
    """The flag that begins at a place, as written; one with a quote that is never closed reaches the line's end."""
    from builder.buildfile.grammar import line_grammar

    tree: Any = line_grammar(escape).parse(text[at:], start="flag")
    return str(tree.children[0])


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
