"""From places in an instruction's joined text to places in the file."""

from __future__ import annotations

from builder.buildfile.syntax import BuildFile, Instruction, Span, Word


class Source:
    """The text of one instruction, as the tree has it, with a map back to lines and columns."""

    def __init__(self, file: BuildFile, line: Instruction, escape: str) -> None:
        self.text = line.source
        self._starts: list[int] = []
        self._places: list[tuple[int, int]] = []
        at = 0
        number = line.span.line
        column = line.span.column
        while number <= len(file.lines) and (at < len(self.text) or not self._starts):
            raw = file.lines[number - 1][column - 1 :]
            comment = self._starts and raw.lstrip().startswith("#")
            if not comment and (raw.strip() or not self._starts):
                self._starts.append(at)
                self._places.append((number, column))
                cut = _cut(raw, escape)
                at += len(cut)
                if len(cut) == len(raw):
                    break
            number, column = number + 1, 1
        if not self._starts:  # a trigger of an image: its lines are not those of the file
            self._starts, self._places = [0], [(line.span.line, line.span.column)]

    def place(self, offset: int) -> tuple[int, int]:
        """The line and column of a character of the text."""
        index = len(self._starts) - 1
        while index and self._starts[index] > offset:
            index -= 1
        line, column = self._places[index]
        return line, column + offset - self._starts[index]

    def span(self, start: int, end: int) -> Span:
        """The span of a part of the text."""
        line, column = self.place(start)
        end_line, end_column = self.place(max(end - 1, start))
        return Span(line, column, end_line, end_column + 1)

    @property
    def end_line(self) -> int:
        """The last line of the text itself, here-documents left out."""
        return self._places[-1][0]


def _cut(line: str, escape: str) -> str:
    """A line without its continuation."""
    bare = line.rstrip(" \t")
    if bare.endswith(escape) and bare[-2:-1] != escape:
        return bare[:-1]
    return line


def escape_of(file: BuildFile) -> str:
    """The escape character of a file."""
    return next((line.value for line in file.directives if line.name == "escape"), "\\")


def keyword_of(line: Instruction) -> str:
    """An instruction's name as it is written."""
    return line.source.split(None, 1)[0]


def keyword_span(line: Instruction) -> Span:
    """Where an instruction's name stands."""
    span = line.span
    return Span(span.line, span.column, span.line, span.column + len(keyword_of(line)))


def variable_span(file: BuildFile, line: Instruction, word: Word, name: str) -> Span:
    """Where a word of an instruction uses a variable, the whole word if that cannot be told."""
    found = _use_of(word.text, name)
    span = word.span
    if found is not None and span.line == span.end_line:
        start, end = found
        text = file.lines[span.line - 1][span.column - 1 :] if 0 < span.line <= len(file.lines) else ""
        if text[start:end] == word.text[start:end]:
            return Span(span.line, span.column + start, span.line, span.column + end)
    # Words of arrays and of mounts stand elsewhere than their span says, and others are on several lines.
    source = Source(file, line, escape_of(file))
    found = _use_of(source.text, name)
    return source.span(*found) if found else span


def _use_of(text: str, name: str) -> tuple[int, int] | None:
    """Where a text first has `$name` or `${name`, its closing brace included if it follows at once."""
    for mark in ("${" + name, "$" + name):
        at = text.find(mark)
        while at >= 0:
            end = at + len(mark)
            following = text[end : end + 1]
            if not (following.isalnum() or following == "_"):
                return at, end + (following == "}" and mark[1] == "{")
            at = text.find(mark, end)
    return None
