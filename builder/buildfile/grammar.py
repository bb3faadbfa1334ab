"""The Lark grammars, loaded when a text first needs one: a cached build never does."""

from __future__ import annotations

from functools import cache
from importlib import resources

from lark import Lark

from builder.buildfile.blanks import BLANKS

_LINE_STARTS = ["line", "pairs", "fields"]
_WORD_STARTS = ["word", "body"]


def _load(name: str, starts: list[str], escape: str) -> Lark:
    text = (resources.files("builder") / "grammar" / name).read_text("utf-8")
    # Inside a class and outside: both escape characters need no more than a backslash in front.
    pattern = "\\\\" if escape == "\\" else "`"
    return Lark(
        text.replace("%E%", pattern).replace("%B%", BLANKS.encode("unicode_escape").decode()),
        start=starts,
        parser="lalr",
        lexer="contextual",
        propagate_positions=False,
        maybe_placeholders=False,
    )


@cache
def line_grammar(escape: str) -> Lark:
    """The parser of logical lines and their arguments, for one escape character."""
    return _load("buildfile.lark", _LINE_STARTS, escape)


@cache
def word_grammar(escape: str) -> Lark:
    """The parser of words and bodies."""
    return _load("word.lark", _WORD_STARTS, escape)
