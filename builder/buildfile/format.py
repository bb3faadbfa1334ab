"""Build files in one form: keywords in capitals, one indent, no stray blanks. What they mean stays as it is.

Text that something else reads (commands, here-documents, comments) is not touched, and every change is tried: an
instruction that would parse to another tree afterwards is left as it was.
"""

from __future__ import annotations

from typing import Any

from builder.buildfile.blanks import BLANKS
from builder.buildfile.flags import split_line
from builder.buildfile.heredocs import find_heredocs
from builder.buildfile.lines import LogicalLine, Source, split_lines
from builder.buildfile.parse import KEYWORD, parse
from builder.buildfile.syntax import BuildFile, Env, From, Instruction, Label, Span
from builder.errors import BuildFileError
from builder.value import dataclass, fields

_INDENT = "    "
_BOM = b"\xef\xbb\xbf"
# How something is written, not what it means: `legacy` is the form `ENV name value`.
_HOW = frozenset({"source", "legacy", "lines", "warnings", "name"})


def format_text(text: bytes, name: str) -> bytes:
    """The text of a build file in its one form; `name` is how messages call it.

    Formatting the result again changes nothing. Raises `BuildFileError` for a text that does not parse.
    """
    file = parse(text, name)
    source = split_lines(text, name, find_heredocs)
    formatted = _write(source, file)
    done = formatted.encode("utf-8", "surrogateescape")
    if text.startswith(_BOM):
        done = _BOM + done
    return done if same_meaning(file, parse(done, name)) else text


def same_meaning(one: Any, other: Any) -> bool:
    """Whether two syntax trees say the same, wherever and however it is written."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Span):
        return True
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same_meaning, one, other))
    if hasattr(one, "__value_fields__"):
        is_file = isinstance(one, BuildFile)
        return all(
            same_meaning(getattr(one, item.name), getattr(other, item.name))
            for item in fields(one)
            if item.name not in _HOW or (item.name == "name" and not is_file)
        )
    return bool(one == other)


@dataclass(slots=True)
class _Block:
    """Some lines of the result; `kind` is blank, comment or text."""

    kind: str
    lines: list[str]


def _write(source: Source, file: BuildFile) -> str:
    blocks: list[_Block] = []
    begins = {line.line: number for number, line in enumerate(source.logical)}
    directives = max((directive.span.line for directive in source.directives), default=0)
    at, stages = 1, 0
    while at <= len(source.lines):
        number = begins.get(at)
        if number is None:
            line = source.raw[at - 1]
            bare = line.strip(BLANKS)
            if at <= directives:
                blocks.append(_Block("text", [line]))
            elif bare:
                blocks.append(_Block("comment", [line.rstrip(BLANKS) + _end(line)]))
            elif not blocks or blocks[-1].kind != "blank":
                blocks.append(_Block("blank", [_end(line)]))
            at += 1
            continue
        logical, instruction = source.logical[number], file.instructions[number]
        if isinstance(instruction, From):
            if stages:
                _set_apart(blocks, _end(source.raw[at - 1]))
            stages += 1
        blocks.append(_Block("text", _instruction(source, logical, instruction)))
        at = logical.end_line + 1
        if logical.heredocs:
            last = logical.heredocs[-1].end_line
            blocks.append(_Block("text", source.raw[at - 1 : last]))
            at = last + 1
    while blocks and blocks[-1].kind == "blank":
        blocks.pop()
    return "".join([f"{line}\n" for block in blocks for line in block.lines])


def _end(line: str) -> str:
    """What of a line's end is part of the line, as this module splits lines."""
    return "\r" if line.endswith("\r") else ""


def _set_apart(blocks: list[_Block], end: str) -> None:
    """Put one blank line before a stage, and before the comments that stand right above it."""
    at = len(blocks)
    while at and blocks[at - 1].kind == "comment":
        at -= 1
    if at and blocks[at - 1].kind != "blank":
        blocks.insert(at, _Block("blank", [end]))


def _instruction(source: Source, logical: LogicalLine, instruction: Instruction) -> list[str]:
    """The lines of one instruction, here-documents aside: the boldest version that means the same."""
    raw = source.raw[logical.line - 1 : logical.end_line]
    bodies = source.raw[logical.end_line : logical.heredocs[-1].end_line] if logical.heredocs else []
    rest_at = split_line(logical.text, source.escape).rest_at
    for until in (len(logical.text), rest_at, 0):
        lines = _tidy(source, logical, instruction, until)
        if lines == raw:
            break
        text = "\n".join([f"# escape={source.escape}", *lines, *bodies, ""])
        try:
            (found,) = parse(text.encode("utf-8", "surrogateescape"), source.name).instructions
        except (BuildFileError, ValueError):
            continue
        if same_meaning(found, instruction):
            return lines
    return raw


def _tidy(source: Source, logical: LogicalLine, instruction: Instruction, until: int) -> list[str]:
    """An instruction's lines with all that may be changed; those that begin before `until` are indented."""
    capitals = _capitals(logical, instruction)
    starts = {line: offset for offset, line, _ in logical.segments}
    found: list[str] = []
    for number in range(logical.line, logical.end_line + 1):
        line = source.raw[number - 1]
        end = _end(line)
        text = line.rstrip("\r")
        for start, stop in capitals.get(number, ()):
            text = text[:start] + text[start:stop].upper() + text[stop:]
        offset = starts.get(number)
        if offset is None:  # a comment, or a blank line
            text = text.rstrip(BLANKS)
            if not text and found and not found[-1].strip(BLANKS):
                continue
        else:
            text = text.rstrip(" \t")
            if number == logical.line:
                text = text.lstrip(BLANKS)
            elif offset < until and not _inside(logical.text, offset, source.escape):
                text = _INDENT + text.lstrip(BLANKS)
        found.append(text + end)
    if isinstance(instruction, Env | Label) and instruction.legacy and len(found) == 1:
        return [_with_equals(instruction, found[0])]
    return found


def _capitals(logical: LogicalLine, instruction: Instruction) -> dict[int, list[tuple[int, int]]]:
    """By line, the columns (from 0) of the words that are written in capitals: the keyword, and the AS of FROM."""
    spans = []
    match = KEYWORD.search(logical.text)
    if match is not None:
        spans.append(match.span())
    if isinstance(instruction, From) and instruction.name is not None:
        words = list(KEYWORD.finditer(logical.text))
        spans.append(words[-2].span())
    found: dict[int, list[tuple[int, int]]] = {}
    for start, stop in spans:
        line, column = logical.place(start)
        if logical.place(stop - 1) == (line, column + stop - 1 - start):
            found.setdefault(line, []).append((column - 1, column - 1 + stop - start))
    return found


def _inside(text: str, offset: int, escape: str) -> bool:
    """Whether a line that begins at an offset continues a word or something quoted."""
    if offset and offset < len(text) and text[offset - 1] not in BLANKS and text[offset] not in BLANKS:
        return True
    quote, at = "", 0
    while at < offset:
        sign = text[at]
        if sign == escape and quote != "'":
            at += 1
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        at += 1
    return bool(quote) or at > offset


def _with_equals(line: Env | Label, text: str) -> str:
    """`ENV name=value` for `ENV name value`, if the value is one plain word."""
    (pair,) = line.pairs
    plain = not any(sign in "\"'\\`" + BLANKS for sign in pair.value.text + pair.key.text)
    if not plain:
        return text
    keyword = type(line).__name__.upper()
    return f"{keyword} {pair.key.text}={pair.value.text}{_end(text)}"
