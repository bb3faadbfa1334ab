"""Build file text → syntax tree."""

from __future__ import annotations

import difflib
from typing import Any

from builder.buildfile.grammar import line_grammar
from builder.buildfile.heredocs import find_heredocs
from builder.buildfile.instructions import MAKERS
from builder.buildfile.line import FlagText, Line, unquote_flag
from builder.buildfile.lines import LogicalLine, Source, split_lines
from builder.buildfile.syntax import BuildFile, Instruction, Onbuild
from builder.errors import BuildFileError

_NO_TRIGGERS = {
    "ONBUILD": "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
    "FROM": "FROM isn't allowed as an ONBUILD trigger",
    "MAINTAINER": "MAINTAINER isn't allowed as an ONBUILD trigger",
}


def parse(text: bytes, name: str) -> BuildFile:
    """Parse a build file; `name` is how messages call it.

    A `BuildFileError` tells of the first mistake, and in `others` of all further ones.
    """
    source = split_lines(text, name, find_heredocs)
    instructions = []
    errors = source.errors
    for logical in source.logical:
        try:
            instructions.append(_instruction(source, logical))
        except BuildFileError as error:
            errors.append(error)
    if not errors and not instructions:
        errors.append(
            BuildFileError(
                f"{name} is empty: the file contains no instructions", hint="begin it with a FROM line"
            )
        )
    if errors:
        errors.sort(key=lambda error: error.location.line if error.location else 0)
        first = errors[0]
        raise BuildFileError(
            first.message, hint=first.hint, location=first.location, others=tuple(errors[1:])
        )
    return BuildFile(
        name, tuple(source.directives), tuple(instructions), tuple(source.warnings), source.lines
    )


def parse_trigger(text: str, name: str = "ONBUILD") -> Instruction:
    """Parse a trigger that an image carries: one instruction, escaped by backslashes whatever its file said."""
    source = split_lines(text.encode("utf-8", "surrogateescape"), name, find_heredocs)
    source.escape = "\\"
    if source.errors:
        raise source.errors[0]
    if len(source.logical) != 1:
        raise BuildFileError(f"a trigger is one instruction, not {len(source.logical)}")
    return _instruction(source, source.logical[0])


def _instruction(source: Source, logical: LogicalLine) -> Instruction:
    line = _line(source, logical)
    if line.keyword == "ONBUILD":
        return _onbuild(line)
    maker = MAKERS.get(line.keyword)
    if maker is None:
        raise _unknown(line)
    return maker(line)


def _unknown(line: Line) -> BuildFileError:
    written = line.text[: len(line.keyword)]
    near = difflib.get_close_matches(line.keyword, [*MAKERS, "ONBUILD"], 1)
    hint = f"did you mean {near[0]}?" if near else "an instruction begins a line, such as FROM, RUN or COPY"
    return line.error(f"unknown instruction: {written}", hint=hint)


def _line(source: Source, logical: LogicalLine) -> Line:
    """Take a line apart by the grammar."""
    from lark.exceptions import UnexpectedInput

    try:
        tree: Any = line_grammar(source.escape).parse(logical.text, start="line")
    except UnexpectedInput as error:
        at = max(getattr(error, "pos_in_stream", 0) or 0, 0)
        raise source.error(
            "the flags cannot be read: a quote is not closed", logical.span(at, at + 1)
        ) from None
    keyword, *rest = tree.children
    line = Line(source, logical, str(keyword).upper(), "", len(logical.text))
    for token in rest:
        if token.type == "FLAG":
            name, mark, value = unquote_flag(str(token)[2:], source.escape).partition("=")
            line.flags.append(FlagText(name, value if mark else None, token.start_pos, len(token)))
        elif token.type in ("ARGUMENTS", "ANYTHING"):
            line.rest, line.rest_at = str(token).rstrip(), token.start_pos
    return line


def _onbuild(line: Line) -> Instruction:
    """A trigger: parsed like any line, kept as text."""
    line.take_flags(())
    if not line.rest:
        raise line.error("ONBUILD requires an instruction", hint="write ONBUILD RUN …")
    logical = line.logical
    shift = line.rest_at
    segments = [(0, *logical.place(shift))]
    segments += [
        (start - shift, number, column) for start, number, column in logical.segments if start > shift
    ]
    inner = LogicalLine(line.rest, segments, logical.line, logical.end_line, logical.heredocs)
    keyword = line.rest.split(None, 1)[0].upper()
    if keyword in _NO_TRIGGERS:
        raise line.error(_NO_TRIGGERS[keyword], line.rest_at, len(keyword))
    trigger = line.rest
    for heredoc in logical.heredocs:
        trigger += f"\n{heredoc.body}{heredoc.name}"
    return Onbuild(trigger, _instruction(line.source, inner), line.text, line.span)
