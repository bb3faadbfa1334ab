"""The parsers of the grammars, loaded when a text first needs one: a cached build never does."""

from __future__ import annotations

from functools import cache

from builder.buildfile.lalr import Parser
from builder.grammar.build_tables import load_tables


@cache
def line_grammar(escape: str) -> Parser:
    """The parser of logical lines and their arguments, for one escape character."""
    return Parser(load_tables("buildfile", escape))


@cache
def word_grammar(escape: str) -> Parser:
    """The parser of words and bodies."""
    return Parser(load_tables("word", escape))
