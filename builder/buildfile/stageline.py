"""FROM: the line that begins a stage."""

from __future__ import annotations

import re

from builder.buildfile import syntax
from builder.buildfile.arguments import Piece, words
from builder.buildfile.line import Line, nearest
from builder.buildfile.syntax import (
    Instruction,
)
from builder.errors import BuildFileError

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")


def from_line(line: Line) -> Instruction:
    """FROM [--platform=…] IMAGE [AS NAME]."""
    tokens = words(line)
    if len(tokens) not in (1, 3) or (len(tokens) == 3 and tokens[1].text.lower() != "as"):
        raise _bad_from(line, tokens)
    name = None
    if len(tokens) == 3:
        name = tokens[2].text.lower()
        if not _STAGE_NAME.match(name):
            raise line.error(
                f"invalid name for a build stage: {tokens[2].text[:80]!r}",
                tokens[2].at,
                len(tokens[2].text),
                "a name begins with a letter; letters, digits, - _ and . may follow",
            )
    flags = line.take_flags(("platform",))
    image = line.word(tokens[0].text, tokens[0].at)
    platform = line.word_of(flags, "platform")
    return syntax.From(image, name, platform if platform and platform.text else None, line.text, line.span)


def _bad_from(line: Line, tokens: list[Piece]) -> BuildFileError:
    if not tokens:
        return line.error("FROM requires an image", hint="write FROM IMAGE or FROM IMAGE AS NAME")
    second, last = tokens[1], tokens[-1]
    hint = "write FROM IMAGE or FROM IMAGE AS NAME"
    if "${" in tokens[0].text and "}" not in tokens[0].text:
        hint = "a blank ends the name of the image, even in ${…}"
    elif second.text.startswith("--"):
        hint = f"flags stand before the image: FROM {second.text[:40]} {tokens[0].text[:80]}"
    elif second.text.startswith("#"):
        hint = "a comment needs a line of its own"
    elif second.text.lower() == "as":
        if len(tokens) == 2:
            return line.error("the name of the stage is missing", second.at, len(second.text), hint)
        second, hint = tokens[3], "a name is one word: write FROM IMAGE AS NAME"
    elif len(tokens) == 3 and nearest(second.text.lower(), ["as"]):
        return line.error(
            f"FROM does not know the word {second.text!r}", second.at, len(second.text), "did you mean AS?"
        )
    length = last.at + len(last.text) - second.at
    return line.error("FROM requires either one or three arguments", second.at, length, hint)
