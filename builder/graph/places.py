"""From spans to locations: errors of the graph with the line that they are about."""

from __future__ import annotations

from builder.buildfile.syntax import BuildFile, Copy, Span
from builder.errors import BuildFileError, Location

_CHOICES = 1000
_AROUND = frozenset(" \t\r\"'=,:[]") | {""}


def locate(file: BuildFile, span: Span) -> Location:
    """The place of a span, with its first line's text; width reaches to the span's end or the line's."""
    source = file.lines[span.line - 1] if 0 < span.line <= len(file.lines) else ""
    end = span.end_column if span.end_line == span.line else len(source) + 1
    return Location(file.name, span.line, span.column, max(1, end - span.column), source)


def narrow(file: BuildFile, span: Span, *texts: str) -> Span:
    """The place of the first of some texts that a span holds, in any case; the span itself if it holds none.

    A text that stands for itself somewhere comes before one that is a part of a word, and what is a part of the first word
    does not count: the `p` of `COPY p /` is no letter of COPY.
    """
    written = locate(file, span)
    first, blank, _ = written.source[span.column - 1 : span.column - 1 + written.width].partition(" ")
    keyword = len(first) if blank and first.isalpha() else 0
    for text in filter(None, texts):
        part: Span | None = None
        for number in range(span.line, min(span.end_line, span.line + _CHOICES) + 1):
            line = file.lines[number - 1] if 0 < number <= len(file.lines) else ""
            start = span.column - 1 if number == span.line else 0
            end = span.end_column - 1 if number == span.end_line else len(line)
            small, wanted = line.lower(), text.lower()
            at = small.find(wanted, start, end)
            while at >= 0:
                place = Span(number, at + 1, number, at + 1 + len(text))
                if line[at - 1 : at] in _AROUND and line[at + len(text) : at + len(text) + 1] in _AROUND:
                    return place
                if part is None and (number > span.line or at >= span.column - 1 + keyword):
                    part = place
                at = small.find(wanted, at + 1, end)
        if part is not None:
            return part
    return span


def closer(file: BuildFile, location: Location, texts: tuple[str, ...]) -> Location:
    """The place of the first of some texts in the instruction that begins at a place; the place itself without one."""
    for line in file.instructions:
        if line.span.line == location.line:
            span = narrow(file, line.span, *texts)
            if span == line.span and isinstance(line, Copy) and texts and not texts[0].startswith("--"):
                # A source with variables, if there is but one, is what the text came of.
                words = [word for word in line.sources if "$" in word.text]
                span = words[0].span if len(words) == 1 else span
            return location if span == line.span else locate(file, span)
    return location


def has_variables(file: BuildFile, error: BuildFileError) -> bool:
    """Whether the instruction that an error is about has a variable anywhere."""
    at = error.location.line if error.location else 0
    for line in file.instructions:
        if line.span.line <= at <= line.span.end_line:
            return mentions_variables(file, line.span)
    return True


def mentions_variables(file: BuildFile, span: Span) -> bool:
    """Whether the lines of a span have a variable anywhere."""
    return any("$" in text for text in file.lines[span.line - 1 : span.end_line])


def mistake(file: BuildFile, span: Span, message: str, hint: str | None = None) -> BuildFileError:
    """The error for something that the build file says wrongly."""
    return BuildFileError(message, hint=hint, location=locate(file, span))


def together(errors: list[BuildFileError]) -> BuildFileError:
    """Several errors as one, which has the others with it."""
    first = errors[0]
    others = [*first.others]
    for error in errors[1:]:
        others += [error, *error.others]
    return BuildFileError(first.message, hint=first.hint, location=first.location, others=tuple(others))


def nearest(word: str, choices: list[str]) -> str | None:
    """The choice that is spelled most like `word`, if one is near."""
    import difflib

    lowered = {choice.lower(): choice for choice in choices[:_CHOICES]}
    found = difflib.get_close_matches(word.lower()[:100], lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def suggest(word: str, choices: list[str], otherwise: str | None = None) -> str | None:
    """A hint that names the nearest choice, or `otherwise`."""
    near = nearest(word, choices)
    return f"did you mean {near}?" if near else otherwise
