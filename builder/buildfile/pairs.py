"""ARG, ENV and LABEL: names and their values."""

from __future__ import annotations

from builder.buildfile import syntax
from builder.buildfile.arguments import quoted_words, words
from builder.buildfile.line import Line
from builder.buildfile.syntax import (
    ArgItem,
    Instruction,
    Pair,
    Word,
)


def arg_line(line: Line) -> Instruction:
    """ARG NAME[=DEFAULT]…"""
    line.ignore_flags()
    items = []
    pieces = quoted_words(line)
    if not pieces:
        raise line.rest_error("ARG requires at least one argument", "write ARG NAME or ARG NAME=VALUE")
    for piece in pieces:
        name, mark, value = piece.text.partition("=")
        if not name:
            raise line.error(
                "the name before = is missing", piece.at, len(piece.text), "write ARG NAME or ARG NAME=VALUE"
            )
        default = line.word(value, piece.at + len(name) + 1) if mark else None
        span = line.logical.span(piece.at, piece.at + len(piece.text))
        word = line.word(name, piece.at)
        computed = word if any(isinstance(part, syntax.Variable) for part in word.parts) else None
        items.append(ArgItem(_plain(word), default, span, computed))
    return syntax.Arg(tuple(items), line.text, line.span)


def _plain(word: Word) -> str:
    """A name, its quotes removed; one with variables as it is written."""
    plain = [part.text for part in word.parts if isinstance(part, syntax.Literal)]
    return "".join(plain) if len(plain) == len(word.parts) and plain else word.text


def _pairs(line: Line) -> tuple[tuple[Pair, ...], bool]:
    """`key=value …`, or the old form: a key, and all the rest as its value."""
    line.take_flags(())
    pieces = quoted_words(line)
    if not pieces:
        raise line.rest_error(
            f"{line.keyword} requires at least one argument", f"write {line.keyword} NAME=VALUE"
        )
    if "=" not in pieces[0].text:
        return (_old_pair(line),), True
    found = []
    for piece in pieces:
        key, mark, value = piece.text.partition("=")
        if not mark:
            raise line.error(
                f"= is missing in {piece.text[:80]!r}: {line.keyword} takes name=value",
                piece.at,
                len(piece.text),
                "put a value with blanks in quotes",
            )
        if not key:
            raise line.error(
                "the name before = is missing",
                piece.at,
                len(piece.text),
                f"write {line.keyword} NAME=VALUE, without blanks around =",
            )
        found.append(Pair(line.word(key, piece.at), line.word(value, piece.at + len(key) + 1)))
    return tuple(found), False


def _old_pair(line: Line) -> Pair:
    key, *rest = words(line)
    if not rest:
        raise line.error(
            f"{line.keyword} must have two arguments: {key.text[:80]} has no value",
            key.at,
            len(key.text),
            f"write {key.text[:80]}=VALUE",
        )
    start = rest[0].at - line.rest_at
    if line.rest[start] == "=":  # BuildKit takes it; nobody means it
        span = line.logical.span(rest[0].at, rest[0].at + 1)
        line.source.warnings.append(
            (f"the value of {key.text[:80]} begins with =: write NAME=VALUE without blanks", span)
        )
    return Pair(line.word(key.text, key.at), line.word(line.rest[start:], rest[0].at))


def env_line(line: Line) -> Instruction:
    """ENV NAME=VALUE…, or the old form ENV NAME VALUE."""
    pairs, legacy = _pairs(line)
    return syntax.Env(pairs, legacy, line.text, line.span)


def label_line(line: Line) -> Instruction:
    """LABEL NAME=VALUE…, or the old form LABEL NAME VALUE."""
    pairs, legacy = _pairs(line)
    return syntax.Label(pairs, legacy, line.text, line.span)
