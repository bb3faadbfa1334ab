"""Shell text as commands, and where they stand in the file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.buildfile.parse import parse
from builder.lint.options import LintOptions
from builder.lint.places import Source, escape_of
from builder.lint.scripts import scripts_of
from builder.lint.shell import commands_of
from builder.lint.walk import Facts


def lines(text: str) -> list[str]:
    return [" ".join([command.name, *command.args]) for command in commands_of(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("a b c", ["a b c"]),
        ("a && b || c; d & e | f\ng", ["a", "b", "c", "d", "e", "f", "g"]),
        ("a 'b c' \"d e\" f\\ g", ["a b c d e f g"]),
        ('a $X ${Y:-z} "$Z"', ["a $X ${Y:-z} $Z"]),
        ("X=1 Y=2 a", ["a"]),
        ("X=1", []),
        ("if a; then b; elif c; then d; else e; fi && f", ["a", "b", "c", "d", "e", "f"]),
        ("while ! a; do b; done", ["a", "b"]),
        ("for i in 1 2; do a $i; done", ["a $i"]),
        ("{ a; b; }; (c; d)", ["a", "b", "c", "d"]),
        ("a $(b 'x' | c) `d`", ["a ${} ${}", "b x", "c", "d"]),
        ('a "$(b "c d")"', ["a ${}", "b c d"]),
        ("X=$(a) b", ["a", "b"]),
        ("a > b 2>&1 < c &> d >>e", ["a"]),
        ("a >b c", ["a c"]),
        ("a <(b)", ["a", "b"]),
        ("a # b && c\nd", ["a", "d"]),
        ("a b#c", ["a b#c"]),
        ("a \\\n  b", ["a b"]),
        ("cat <<E\nx y\nE\nb", ["cat", "b"]),
        ("cat <<-'E' && a\n\tx\n\tE\nb", ["cat", "a", "b"]),
        ("a $((1 + 2)) && ((x = 1)) && b", ["a ${}", "b"]),
        ("echo 'fi' then", ["echo fi then"]),
        ("a 'open", ["a open"]),
        ('a "open', ["a open"]),
        ("a $(open", ["a ${}", "open"]),
        ("[ -f x ] && a", ["[ -f x ]", "a"]),
    ],
)
def test_commands(text: str, wanted: list[str]) -> None:
    assert lines(text) == wanted


def test_pipes_flags_and_places() -> None:
    text = "X=1 wget -qO- --tries=3 u | sh -s a || b"
    first, second, third = commands_of(text)
    assert [command.piped for command in (first, second, third)] == [True, False, False]
    assert text[first.start : first.end] == "wget -qO- --tries=3 u"
    assert first.assigned == ("X=1",)
    assert first.flags() == ("q", "O", "-", "tries")
    assert first.has_flag("tries") and not first.has_flag("t")
    assert second.plain("s") == () and second.plain() == ("a",)
    assert commands_of("useradd -mu 12 --uid=13 x")[0].value("uid") == "13"
    assert commands_of("useradd -mu 12 x")[0].value("u") == "12"


@given(st.text(alphabet="ab '\"\\$(){}`;&|<>\n#=-E!0", max_size=80))
def test_any_text_has_commands_within_it(text: str) -> None:
    for command in commands_of(text):
        assert 0 <= command.start < command.end <= len(text)


def test_deep_nesting_is_no_trouble() -> None:
    assert commands_of("$(" * 10_000) == ()
    assert lines("( " * 39 + "a") == ["a"]
    commands_of("(" * 10_000 + "a")
    assert len(commands_of("`a` " * 5000)) >= 5000


def scripts(text: str) -> list[tuple[str, ...]]:
    file = parse(text.encode(), "F")
    facts = Facts(file, LintOptions())
    found = []
    for script in scripts_of(facts):
        for command in script.commands:
            span = script.places.span(script.text, command.start, command.end)
            rows = file.lines[span.line - 1 : span.end_line]
            rows = (*rows[:-1], rows[-1][: span.end_column - 1])
            found.append((command.name, rows[0][span.column - 1 :], str(span.line)))
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("RUN a b && c", [("a", "a b", "2"), ("c", "c", "2")]),
        ("RUN --mount=type=tmpfs,target=/t  a", [("a", "a", "2")]),
        ("RUN a && \\\n  # no\n\tb c", [("a", "a", "2"), ("b", "b c", "4")]),
        ("ONBUILD RUN a; \\\n b", [("a", "a", "2"), ("b", "b", "3")]),
        ("RUN <<E\na\n b c\nE", [("a", "a", "3"), ("b", "b c", "4")]),
        ("RUN <<-E\n\t\ta b\n\tE", [("a", "a b", "3")]),
        ("RUN <<'E'\n#!/bin/bash\na\nE", [("a", "a", "4")]),
        ("RUN <<E\n#!/usr/bin/env python3\na\nE", []),
        ("RUN bash -e <<E\na\nE", [("a", "a", "3")]),
        ("RUN cat <<E > x\na\nE", [("cat", "cat", "2")]),
        ('RUN ["a", "b"]', [("a", 'RUN ["a", "b"]', "2")]),
        (
            'RUN ["sh", "-c", "a; b"]',
            [("a", 'RUN ["sh", "-c", "a; b"]', "2"), ("b", 'RUN ["sh", "-c", "a; b"]', "2")],
        ),
        ('SHELL ["powershell", "-c"]\nRUN a', []),
    ],
)
def test_commands_of_run(text: str, wanted: list[tuple[str, ...]]) -> None:
    assert scripts(f"FROM scratch\n{text}\n") == wanted


def test_every_character_of_an_instruction_is_found_again() -> None:
    text = "  FROM scratch \\\n\n  # c\n  AS a\nRUN a \\  \n\\\n b\\\\\nENV A=1 \\\n"
    file = parse(text.encode(), "F")
    assert len(file.instructions) == 3
    for line in file.instructions:
        source = Source(file, line, escape_of(file))
        for offset, sign in enumerate(line.source):
            row, column = source.place(offset)
            assert file.lines[row - 1][column - 1] == sign
    file = parse(b"# escape=`\nFROM scratch\nRUN a\\ `\n  b\n", "F")
    source = Source(file, file.instructions[1], escape_of(file))
    assert source.span(len("RUN a\\  "), len("RUN a\\   b")).line == 4
