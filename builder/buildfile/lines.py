"""The pre-pass: what no context-free grammar can do. Directives, comments, continuations and here-documents.

Its result is a list of logical lines, each with a map back to where its characters stand in the file.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable

from builder.buildfile.blanks import BLANKS
from builder.buildfile.syntax import EMPTY_LINE, Directive, Span
from builder.errors import BuildFileError, Location
from builder.value import dataclass, field

LONGEST_LINE = 64 * 1024 - 1
"""Bytes that a line may have, its line end aside."""
_DIRECTIVE = re.compile(r"#[\s\x85]*([A-Za-z][A-Za-z0-9]*)[\t\n\f\r ]*=(.+)", re.DOTALL)
_KNOWN = ("syntax", "escape", "check")


@dataclass(slots=True)
class RawHeredoc:
    """A here-document as found: `name` without quotes, `body` as it counts, `raw` with the tabs that `<<-` drops."""

    name: str
    expand: bool
    strip_tabs: bool
    body: str = ""
    raw: str = ""
    line: int = 0
    end_line: int = 0


@dataclass(slots=True)
class LogicalLine:
    """One instruction's text, lines joined; `segments` are (offset, line, column) of its pieces.

    `trail` are the blanks that end it: only triggers keep them.
    """

    text: str
    segments: list[tuple[int, int, int]]
    line: int
    end_line: int
    heredocs: list[RawHeredoc] = field(default_factory=list)
    trail: str = ""

    def place(self, offset: int) -> tuple[int, int]:
        """The line and column of a character of the text."""
        index = bisect_right(self.segments, (offset, 1 << 60, 0)) - 1
        start, line, column = self.segments[max(index, 0)]
        return line, column + offset - start

    def span(self, start: int = 0, end: int | None = None) -> Span:
        """The span of a part of the text."""
        line, column = self.place(start)
        stop = len(self.text) if end is None else end
        end_line, end_column = self.place(max(stop - 1, start))
        return Span(line, column, end_line, end_column + 1)


@dataclass(slots=True)
class Source:
    """A build file's text on its way: its lines, directives and logical lines."""

    name: str
    lines: tuple[str, ...]
    raw: list[str]
    escape: str = "\\"
    directives: list[Directive] = field(default_factory=list)
    logical: list[LogicalLine] = field(default_factory=list)
    warnings: list[tuple[str, Span]] = field(default_factory=list)
    errors: list[BuildFileError] = field(default_factory=list)

    def error(self, message: str, span: Span, hint: str | None = None) -> BuildFileError:
        """An error at a place of the file."""
        source = self.lines[span.line - 1] if 0 < span.line <= len(self.lines) else ""
        end = span.end_column if span.end_line == span.line else len(source) + 1
        width = max(1, min(end - span.column, len(source) + 1 - span.column))
        return BuildFileError(
            message, hint=hint, location=Location(self.name, span.line, span.column, width, source)
        )


_DIRECTIVE_BLANKS = "\t\n\f\r "

FindHeredocs = Callable[[LogicalLine, str], list[RawHeredoc]]


def split_lines(text: bytes, name: str, find_heredocs: FindHeredocs) -> Source:
    """Take a file apart. `find_heredocs` says which here-documents a logical line opens.

    Errors of single lines are gathered in `errors`, and reading goes on behind them.
    """
    if text.startswith(b"\xef\xbb\xbf"):
        text = text[3:]
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BuildFileError(
            f"{name} is written in UTF-16", hint="save it as UTF-8: iconv -f UTF-16 -t UTF-8"
        )
    decoded = text.decode("utf-8", "surrogateescape")
    raw = decoded.split("\n")
    if raw and raw[-1] == "":
        raw.pop()
    source = Source(name, tuple([line.rstrip("\r") for line in raw]), raw)
    _Splitter(source, find_heredocs).split()
    return source


class _Splitter:
    def __init__(self, source: Source, find_heredocs: FindHeredocs) -> None:
        self.source = source
        self.find_heredocs = find_heredocs
        self.at = 0

    def split(self) -> None:
        self._check_lines()
        if not self.source.errors:
            self._directives()
        while self.at < len(self.source.lines):
            self._logical_line()

    def _check_lines(self) -> None:
        for number, line in enumerate(self.source.raw, 1):
            if len(line) > LONGEST_LINE // 4 and len(line.encode("utf-8", "surrogateescape")) > LONGEST_LINE:
                self._mistake(
                    f"the line is longer than {LONGEST_LINE} bytes",
                    Span(number, 1, number, 2),
                    "break it with a continuation, or move it to a file that COPY takes",
                )
            if "\0" in line:
                column = line.index("\0") + 1
                span = Span(number, column, number, column + 1)
                self.source.warnings.append(("the line has a NUL character", span))

    def _mistake(self, message: str, span: Span, hint: str | None = None) -> None:
        self.source.errors.append(self.source.error(message, span, hint))

    def _directives(self) -> None:
        seen: dict[str, int] = {}
        # Behind a first line of #! BuildKit finds those that it looks for by name: all but escape.
        hidden = self.source.lines[0].startswith("#!") if self.source.lines else False
        for number, line in enumerate(self.source.lines[hidden:], 1 + hidden):
            start = len(line) - len(line.lstrip(BLANKS))
            match = _DIRECTIVE.match(line, start)
            value = (match[2].strip(_DIRECTIVE_BLANKS) or match[2][0]) if match else ""
            if match is None or match[1].lower() not in _KNOWN:
                return
            name = match[1].lower()
            if hidden and (name == "escape" or name in seen):
                continue
            at = line.index(value, match.start(2)) + 1
            if name in seen:
                self._mistake(
                    f"the directive {name} is given twice",
                    Span(number, match.start(1) + 1, number, match.end(1) + 1),
                    f"line {seen[name]} has it already",
                )
            if name == "escape" and value not in ("\\", "`"):
                self._mistake(
                    f"invalid escape character {value[:20]!r}",
                    Span(number, at, number, at + len(value)),
                    "it is \\ or `",
                )
            elif name == "escape":
                self.source.escape = value
            seen.setdefault(name, number)
            self.source.directives.append(Directive(name, value, Span(number, 1, number, len(line) + 1)))

    def _logical_line(self) -> None:
        """The next logical line, if the next line is none that only blanks or a comment are on."""
        lines = self.source.lines
        first = lines[self.at]
        stripped = first.lstrip(BLANKS)
        self.at += 1
        if not stripped or stripped.startswith("#"):
            return
        begin = self.at
        text, more = self._cut(stripped)
        pieces = [text]
        size = len(text)
        segments = [(0, begin, len(first) - len(stripped) + 1)]
        while more and self.at < len(lines):
            now = lines[self.at]
            self.at += 1
            bare = now.lstrip(BLANKS)
            if bare.startswith("#"):
                continue
            if not bare:
                self.source.warnings.append((EMPTY_LINE, Span(self.at, 1, self.at, 2)))
                continue
            piece, more = self._cut(now)
            segments.append((size, self.at, 1))
            pieces.append(piece)
            size += len(piece)
        joined = "".join(pieces)
        line = LogicalLine(joined.rstrip(BLANKS), segments, begin, self.at)
        line.trail = joined[len(line.text) :]
        if not line.text:
            self._mistake("the line continues nothing", line.span(0, 1), "remove it")
            return
        line.heredocs = self.find_heredocs(line, self.source.escape)
        for number, heredoc in enumerate(line.heredocs):
            self._body(line, heredoc)
            if not heredoc.end_line:  # the file is at its end: those that follow have none either
                del line.heredocs[number + 1 :]
        self.source.logical.append(line)

    def _cut(self, line: str) -> tuple[str, bool]:
        """A line without its continuation, and whether it has one: a single escape, with blanks behind it."""
        cut = line.rstrip(" \t")
        escape = self.source.escape
        if not cut.endswith(escape) or cut[-2:-1] == escape:
            return line, False
        return cut[:-1], True

    def _body(self, line: LogicalLine, heredoc: RawHeredoc) -> None:
        """Read a here-document to its end, a line that is its name."""
        heredoc.line = self.at + 1
        body: list[str] = []
        raw: list[str] = []
        near = None
        while self.at < len(self.source.lines):
            now = self.source.raw[self.at]
            self.at += 1
            text = now.lstrip("\t") if heredoc.strip_tabs else now
            if text.rstrip("\r") == heredoc.name:
                heredoc.body = "".join([f"{part}\n" for part in body])
                heredoc.raw = "".join([f"{part}\n" for part in raw]) if heredoc.strip_tabs else heredoc.body
                heredoc.end_line = self.at
                return
            if near is None and now.strip(BLANKS + "\\;") == heredoc.name:
                near = self.at
            body.append(text)
            raw.append(now)
        at = max(line.text.find("<<"), 0)
        place = re.search(rf"<<-?[\t\r ]*[\"'\\]*{re.escape(heredoc.name)}[\"']*", line.text)
        start, end = place.span() if place else (at, at + 2)
        self._mistake(
            f"unterminated heredoc: the end {heredoc.name} is missing",
            line.span(start, end),
            f"write {heredoc.name} on a line of its own, with nothing else on it"
            + (f"; line {near} has more than that" if near else ""),
        )
