"""The pre-pass: what no context-free grammar can do. Directives, comments, continuations and here-documents.

Its result is a list of logical lines, each with a map back to where its characters stand in the file.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable

from builder.buildfile.syntax import Directive, Span
from builder.errors import BuildFileError, Location
from builder.value import dataclass, field

LONGEST_LINE = 64 * 1024
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*\Z")
_COMMENT = re.compile(r"\s*#")
_CONTINUED = {
    escape: re.compile(rf"(?:(?<=[^{re.escape(escape)}])|\A){re.escape(escape)}[ \t]*\Z") for escape in "\\`"
}
_KNOWN = ("syntax", "escape", "check")


@dataclass(slots=True)
class RawHeredoc:
    """A here-document as found: `name` without quotes, `body` as written."""

    name: str
    expand: bool
    strip_tabs: bool
    body: str = ""
    line: int = 0
    end_line: int = 0


@dataclass(slots=True)
class LogicalLine:
    """One instruction's text, lines joined; `segments` are (offset, line, column) of its pieces."""

    text: str
    segments: list[tuple[int, int, int]]
    line: int
    end_line: int
    heredocs: list[RawHeredoc] = field(default_factory=list)

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


FindHeredocs = Callable[[LogicalLine, str], list[RawHeredoc]]


def split_lines(text: bytes, name: str, find_heredocs: FindHeredocs) -> Source:
    """Take a file apart. `find_heredocs` says which here-documents a logical line opens.

    Errors of single lines are gathered in `errors`, and reading goes on behind them.
    """
    if text.startswith(b"\xef\xbb\xbf"):
        text = text[3:]
    decoded = text.decode("utf-8", "surrogateescape")
    raw = decoded.split("\n")
    if raw and raw[-1] == "":
        raw.pop()
    source = Source(name, tuple(line.removesuffix("\r") for line in raw), raw)
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
        for number, line in enumerate(self.source.lines, 1):
            span = Span(number, 1, number, 2)
            if len(line) >= LONGEST_LINE:
                self.source.errors.append(
                    self.source.error(
                        f"the line is longer than {LONGEST_LINE} characters",
                        span,
                        "break it with a continuation",
                    )
                )
            if "\0" in line:
                column = line.index("\0") + 1
                self.source.errors.append(
                    self.source.error(
                        "the line has a NUL character", Span(number, column, number, column + 1)
                    )
                )

    def _directives(self) -> None:
        seen: set[str] = set()
        for number, line in enumerate(self.source.lines, 1):
            match = _DIRECTIVE.match(line.lstrip())
            if match is None or match[1].lower() not in _KNOWN:
                return
            name, value = match[1].lower(), match[2]
            span = Span(number, 1, number, len(line) + 1)
            if name in seen:
                self.source.errors.append(self.source.error(f"the directive {name} is given twice", span))
            if name == "escape" and value not in ("\\", "`"):
                self.source.errors.append(
                    self.source.error(f"invalid escape token {value[:20]!r}", span, "it is \\ or `")
                )
            elif name == "escape":
                self.source.escape = value
            seen.add(name)
            self.source.directives.append(Directive(name, value, span))

    def _logical_line(self) -> None:
        """The next logical line, if the next line is none that only blanks or a comment are on."""
        lines = self.source.lines
        first = lines[self.at]
        stripped = first.lstrip()
        self.at += 1
        if not stripped or stripped.startswith("#"):
            return
        begin = self.at
        pieces, more = self._cut(stripped)
        text = pieces
        segments = [(0, begin, len(first) - len(stripped) + 1)]
        while more and self.at < len(lines):
            now = lines[self.at]
            self.at += 1
            if _COMMENT.match(now):
                continue
            if not now.strip():
                self.source.warnings.append(
                    ("an empty line continues an instruction", Span(self.at, 1, self.at, 2))
                )
                continue
            piece, more = self._cut(now)
            segments.append((len(text), self.at, 1))
            text += piece
        line = LogicalLine(text.rstrip(), segments, begin, self.at)
        if line.text:
            line.heredocs = self.find_heredocs(line, self.source.escape)
            for heredoc in line.heredocs:
                self._body(line, heredoc)
            self.source.logical.append(line)

    def _cut(self, line: str) -> tuple[str, bool]:
        """A line without its continuation, and whether it has one."""
        match = _CONTINUED[self.source.escape].search(line)
        return (line[: match.start()], True) if match else (line, False)

    def _body(self, line: LogicalLine, heredoc: RawHeredoc) -> None:
        """Read a here-document to its end, a line that is its name."""
        heredoc.line = self.at + 1
        body: list[str] = []
        while self.at < len(self.source.lines):
            raw = self.source.raw[self.at]
            self.at += 1
            text = raw.lstrip("\t") if heredoc.strip_tabs else raw
            if text.removesuffix("\r") == heredoc.name:
                heredoc.body = "".join(f"{part}\n" for part in body)
                heredoc.end_line = self.at
                return
            body.append(text)
        self.source.errors.append(
            self.source.error(
                f"unterminated heredoc: the end {heredoc.name} is missing",
                line.span(),
                f"write {heredoc.name} on a line of its own, with nothing else on it",
            )
        )
