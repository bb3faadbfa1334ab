"""From spans to locations: errors of the graph with the line that they are about."""

from __future__ import annotations

from builder.buildfile.syntax import BuildFile, Span
from builder.errors import BuildFileError, Location

_CHOICES = 1000


def locate(file: BuildFile, span: Span) -> Location:
    """The place of a span, with its first line's text; width reaches to the span's end or the line's."""
    source = file.lines[span.line - 1] if 0 < span.line <= len(file.lines) else ""
    end = span.end_column if span.end_line == span.line else len(source) + 1
    return Location(file.name, span.line, span.column, max(1, end - span.column), source)


def narrow(file: BuildFile, span: Span, *texts: str) -> Span:
    """The place of the first of some texts that a span holds, in any case; the span itself if it holds none."""
    for text in texts:
        for number in range(span.line, min(span.end_line, span.line + _CHOICES) + 1):
            line = file.lines[number - 1] if 0 < number <= len(file.lines) else ""
            start = span.column - 1 if number == span.line else 0
            end = span.end_column - 1 if number == span.end_line else len(line)
            at = line.lower().find(text.lower(), start, end) if text else -1
            if at >= 0:
                return Span(number, at + 1, number, at + 1 + len(text))
    return span


def closer(file: BuildFile, location: Location, texts: tuple[str, ...]) -> Location:
    """The place of the first of some texts in the instruction that begins at a place; the place itself without one."""
    for line in file.instructions:
        if line.span.line == location.line:
            span = narrow(file, line.span, *texts)
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
