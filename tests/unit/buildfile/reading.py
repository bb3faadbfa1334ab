"""Short ways to parse a line and to see what became of it."""

from __future__ import annotations

from builder.buildfile.parse import parse
from builder.buildfile.syntax import Literal, Mark, Span, Variable
from builder.buildfile.wordparse import parse_word
from builder.buildfile.words import expand
from builder.errors import BuildFileError


def file(text):
    return parse(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"), "f")


def lines(text):
    """The instructions behind a FROM line that is put in front."""
    return file("FROM b\n" + text).instructions[1:]


def line(text):
    (found,) = lines(text)
    return found


def errors(text):
    """(line, column, width, message) of all mistakes of a text that a FROM line is put in front of, also in words."""
    try:
        found = file("FROM b\n" + text).mistakes
    except BuildFileError as error:
        return [
            (one.location.line - 1, one.location.column, one.location.width, one.message)
            for one in (error, *error.others)
        ]
    assert found, f"accepted: {text!r}"
    return [
        (one.span.line - 1, one.span.column, one.span.end_column - one.span.column, one.message)
        for one in found
    ]


def message(text):
    ((_, _, _, found),) = errors(text)
    return found


def texts(words):
    return [word.text for word in words]


def value(text, escape="\\", **variables):
    """What a word comes to."""
    return expand(parse_word(text, Span(1, 1, 1, 1), escape=escape), variables.get)


def shape(parts):
    """The parts of a word without spans: texts, and variables as tuples that hold what is in their braces."""
    found = []
    opened = []
    for part in parts:
        if isinstance(part, Literal):
            found.append(part.text)
        elif isinstance(part, Variable) and not part.operator:
            found.append((part.name, ""))
        elif isinstance(part, Variable):
            opened.append((found, [part.name, part.operator]))
            found = []
        else:
            assert isinstance(part, Mark)
            opened[-1][1].append(found)
            if part.sign == "}":
                found, variable = opened.pop()
                found.append(tuple(variable))
            else:
                found = []
    assert not opened
    return found
