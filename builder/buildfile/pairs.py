"""ARG, ENV and LABEL: names and their values."""

from __future__ import annotations

from builder.buildfile import syntax
from builder.buildfile.arguments import Piece, quoted_words, words
from builder.buildfile.line import Line
from builder.buildfile.syntax import (
    ArgItem,
    Instruction,
    Pair,
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
        default = line.word(value, piece.at + len(name) + 1, argument=name) if mark else None
        span = line.logical.span(piece.at, piece.at + len(piece.text))
        items.append(ArgItem(name, default, span))
    return syntax.Arg(tuple(items), line.text, line.span)


def _pairs(line: Line) -> tuple[tuple[Pair, ...], bool]:
    """`key=value …`, or the old form: a key, and all the rest as its value."""
    line.take_flags(())
    pieces = quoted_words(line)
    if not pieces:
        raise line.rest_error(
            f"{line.keyword} requires at least one argument", f"write {line.keyword} NAME=VALUE"
        )
    _check(line, pieces)
    if "=" not in pieces[0].text:
        return (_old_pair(line),), True
    found = []
    for piece in pieces:
        key, _, value = piece.text.partition("=")
        if not key:
            raise line.error(
                "the name before = is missing",
                piece.at,
                len(piece.text),
                f"write {line.keyword} NAME=VALUE, without blanks around =",
            )
        found.append(Pair(line.word(key, piece.at), line.word(value, piece.at + len(key) + 1)))
    return tuple(found), False


def check_pairs(line: Line) -> None:
    """Refuse arguments that are neither pairs nor a key and a value."""
    _check(line, quoted_words(line))


def _check(line: Line, pieces: list[Piece]) -> None:
    if pieces and "=" not in pieces[0].text:
        key, *rest = words(line)
        if not rest:
            raise line.error(
                f"{line.keyword} must have two arguments: {key.text[:80]} has no value",
                key.at,
                len(key.text),
                f"write {key.text[:80]}=VALUE",
            )
        return
    for number, piece in enumerate(pieces):
        if "=" not in piece.text:
            for earlier in pieces[:number]:  # often it is a part of a ${…} with blanks in it
                line.word(earlier.text, earlier.at)
            if line.late:
                raise line.late.pop()[0]
            raise line.error(
                f"= is missing in {piece.text[:80]!r}: {line.keyword} takes name=value",
                piece.at,
                len(piece.text),
                "put a value with blanks in quotes",
            )


def _old_pair(line: Line) -> Pair:
    key, *rest = words(line)
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
