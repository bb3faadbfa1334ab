"""Build file text → syntax tree."""

from __future__ import annotations

import re

from builder.buildfile.blanks import BLANKS, PLAIN_WORD
from builder.buildfile.controls import find_controls
from builder.buildfile.flags import split_line
from builder.buildfile.heredocs import find_heredocs
from builder.buildfile.instructions import MAKERS, check_form
from builder.buildfile.line import Line, nearest
from builder.buildfile.lines import LogicalLine, Source, split_lines
from builder.buildfile.syntax import BuildFile, From, Instruction, Literal, Mistake, Onbuild, Span, Word
from builder.errors import BuildFileError

KEYWORD = re.compile(PLAIN_WORD)
_CONTINUES = re.compile(r"(?:(?<=[^\\])|\A)\\[ \t]*\Z")
_MOST_ERRORS = 50
_NO_TRIGGERS = {
    "ONBUILD": ("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", "write ONBUILD once"),
    "FROM": ("FROM isn't allowed as an ONBUILD trigger", "the build that runs the trigger has its own FROM"),
    "MAINTAINER": (
        "MAINTAINER isn't allowed as an ONBUILD trigger",
        "write ONBUILD LABEL org.opencontainers.image.authors=NAME",
    ),
}


class UnparsedError(BuildFileError):
    """Lines of a build file do not parse; `rest` is the file without them, for what else is wrong with it.

    A FROM among them stands there as one of an unknown image, so that the lines behind it are a stage.
    """

    rest: BuildFile


def parse(text: bytes, name: str) -> BuildFile:
    """Parse a build file; `name` is how messages call it.

    An `UnparsedError` tells of the first mistake, and in `others` of all further ones.
    """
    source = split_lines(text, name, find_heredocs)
    instructions: list[Instruction] = []
    late: list[tuple[int, BuildFileError, str]] = []
    errors = source.errors
    for logical in source.logical:
        line = _line(source, logical, source.escape)
        try:
            instructions.append(_instruction(line))
        except BuildFileError as error:
            errors.append(error)
            instructions += _placeholder(line)
        late += [(len(instructions) - 1, error, argument) for error, argument in line.late]
    if errors:  # then all that is wrong is told
        errors += [error for _, error, _ in late]
    if not errors and not instructions:
        errors.append(
            BuildFileError(
                f"{name} is empty: the file contains no instructions", hint="begin it with a FROM line"
            )
        )
    controls = find_controls(source, instructions, errors) if not errors else ()
    if errors:
        errors.sort(key=lambda error: error.location.line if error.location else 0)
        if len(errors) > _MOST_ERRORS:
            errors[_MOST_ERRORS:] = [BuildFileError(f"and {len(errors) - _MOST_ERRORS} further mistakes")]
        first = errors[0]
        failed = UnparsedError(
            first.message, hint=first.hint, location=first.location, others=tuple(errors[1:])
        )
        failed.rest = BuildFile(name, tuple(source.directives), tuple(instructions), (), source.lines)
        raise failed
    return BuildFile(
        name,
        tuple(source.directives),
        tuple(instructions),
        tuple(source.warnings),
        source.lines,
        controls,
        tuple([_mistake(*found) for found in late]),
    )


def _placeholder(line: Line) -> tuple[Instruction, ...]:
    """What stands for a line that does not parse: a FROM for one that is or seems to be one."""
    if line.keyword != "FROM" and (line.keyword in MAKERS or nearest(line.keyword, [*MAKERS]) != "FROM"):
        return ()
    return (From(Word((Literal("scratch"),), "scratch", line.span), None, None, line.text, line.span),)


def _mistake(instruction: int, error: BuildFileError, argument: str) -> Mistake:
    at = error.location
    assert at is not None
    span = Span(at.line, at.column, at.line, at.column + at.width)
    return Mistake(instruction, error.message, error.hint, span, argument)


def parse_trigger(text: str, name: str = "ONBUILD") -> Instruction:
    """Parse a trigger that an image carries: one instruction, escaped by backslashes whatever its file said."""
    source = split_lines(text.encode("utf-8", "surrogateescape"), name, find_heredocs)
    source.escape = "\\"
    if source.errors:
        raise source.errors[0]
    if len(source.logical) != 1:
        raise BuildFileError(f"a trigger is one instruction, not {len(source.logical)}")
    line = _line(source, source.logical[0], "\\")
    found = _instruction(line)
    if line.late:
        raise line.late[0][0]
    return found


def _instruction(line: Line) -> Instruction:
    if line.keyword == "ONBUILD":
        return _onbuild(line)
    maker = MAKERS.get(line.keyword)
    if maker is None:
        raise _unknown(line)
    return maker(line)


def _unknown(line: Line) -> BuildFileError:
    written = line.text[line.keyword_at : line.keyword_at + len(line.keyword)]
    blank = next((at for at, sign in enumerate(written) if sign in BLANKS), None)
    if blank is not None:
        return line.error(
            f"unknown instruction: {written[:40]!r} has a blank in it that is no ordinary one",
            line.keyword_at + blank,
            1,
            f"U+{ord(written[blank]):04X} stands there: write a space",
        )
    near = nearest(line.keyword, [*MAKERS, "ONBUILD"])
    hint = f"did you mean {near}?" if near else "an instruction begins a line, such as FROM, RUN or COPY"
    return line.error(f"unknown instruction: {written[:80]}", hint=hint)


def _line(source: Source, logical: LogicalLine, escape: str) -> Line:
    """Take a line apart: its keyword, its flags and what is behind them."""
    split = split_line(logical.text, escape)
    # Some letters beyond ASCII have capitals within it, or of another length.
    keyword = split.keyword.upper() if split.keyword.isascii() else split.keyword
    return Line(source, logical, keyword, split.rest, split.rest_at, escape, split.flags, split.keyword_at)


def _onbuild(line: Line) -> Instruction:
    """A trigger: parsed like any line, kept as text, and always escaped by backslashes."""
    line.take_flags(())
    text = _CONTINUES.sub("", line.rest) if line.escape != "\\" else line.rest
    if not text.strip(BLANKS):
        raise line.error("ONBUILD requires an instruction", hint="write ONBUILD RUN …")
    logical = line.logical
    shift = line.rest_at
    segments = [(0, *logical.place(shift))]
    segments += [
        (start - shift, number, column) for start, number, column in logical.segments if start > shift
    ]
    inner = LogicalLine(text, segments, logical.line, logical.end_line, logical.heredocs)
    keyword = line.rest.split(None, 1)[0].upper()
    if keyword in _NO_TRIGGERS:
        message, hint = _NO_TRIGGERS[keyword]
        raise line.error(message, line.rest_at, len(keyword), hint)
    trigger = line.rest + logical.trail
    for heredoc in logical.heredocs:
        trigger += f"\n{heredoc.raw}{heredoc.name}"
    return Onbuild(trigger, _trigger(line, inner), line.text, line.span)


def _trigger(onbuild: Line, logical: LogicalLine) -> Instruction | None:
    """The instruction of a trigger. What is wrong with more than its form counts only where it is carried out."""
    check_form(_line(onbuild.source, logical, onbuild.escape))
    line = _line(onbuild.source, logical, "\\")
    found = None
    try:
        found = _instruction(line)
    except BuildFileError as error:
        onbuild.late.append((error, ""))
    onbuild.late += line.late
    return found
