"""The pre-pass: lines, continuations, comments, directives, encodings."""

import pytest
from reading import errors, file, line, lines

from builder.buildfile.syntax import Span
from builder.errors import BuildFileError


def run(text):
    """The text of a RUN line."""
    return line(f"RUN {text}").command.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a \\\nb", "a b"),
        ("a \\\n  b", "a   b"),  # blanks of the next line stay
        ("good\\\nbye", "goodbye"),  # and none is put in
        ("a \\   \nb", "a b"),
        ("a \\\t \nb", "a b"),
        ("a \\\n# c\nb", "a b"),
        ("a \\\n\nb", "a b"),
        ("a \\\n   # c\n\t# d\n\n  \nb", "a b"),
        ("a \\\n# ends in one \\\nb", "a b"),
        ("a \\", "a"),  # the file's last line
        ("a \\\n", "a"),
        ("a # no comment", "a # no comment"),
        ("a \\\n b # no comment \\\n c", "a  b # no comment  c"),
        ("'x \\\n y'", "'x  y'"),
        ("a \\\r\nb\r\n", "a b"),
        ("a \\\r\r\nb\r\r\n", "a b"),
    ],
)
def test_continuations(text, expected):
    assert run(text) == expected


@pytest.mark.parametrize("end", ["\\\\", "\\\\\\", "\\\\\\\\", "\\ x"])
def test_no_continuations(end):
    found = lines(f"RUN a {end}\nRUN b")
    assert [one.command.text for one in found] == [f"a {end}", "b"]


def test_a_continuation_of_nothing_begins_an_instruction():
    assert line("\\\nRUN a").command.text == "a"
    assert line("  \\\n  RUN a").command.text == "a"
    assert line("RU\\\nN a").command.text == "a"
    assert errors("\\\n")[0][3] == "the line continues nothing"


def test_an_empty_line_in_a_continuation_is_warned_of():
    found = file("FROM b\nRUN a \\\n\n  b\n")
    ((text, span),) = found.warnings
    assert "empty line" in text
    assert span.line == 3


def test_blanks_around_lines_go():
    assert line(" \t RUN  a \t ").command.text == "a"
    assert line("RUN\ta").command.text == "a"
    assert line("RUN \u00a0a").command.text == "a"


def test_a_no_break_space_is_part_of_a_keyword():
    assert errors("RUN\u00a0a") == [
        (1, 4, 1, "unknown instruction: 'RUN\\xa0a' has a blank in it that is no ordinary one")
    ]


def test_spans_lead_back_to_the_file():
    found = file("# c\nFROM b\n\n  ENV A=1 \\\n# d\n    B=2\n")
    env = found.instructions[1]
    assert (env.span.line, env.span.column, env.span.end_line, env.span.end_column) == (4, 3, 6, 8)
    first, second = env.pairs
    assert (first.value.span.line, first.value.span.column) == (4, 9)
    assert (second.key.span.line, second.key.span.column) == (6, 5)
    assert (second.value.span.line, second.value.span.column, second.value.span.end_column) == (6, 7, 8)


# --- directives ---


def escape_of(text):
    """Whether backquotes continue lines behind a text."""
    return "`" if len(file(f"{text}FROM b\nRUN a `\nRUN b\n").instructions) == 2 else "\\"


@pytest.mark.parametrize(
    "text",
    [
        "# escape=`\n",
        "#escape=`\n",
        "#   ESCAPE \t =  `  \n",
        "  # escape=`\n",
        "# syntax=x\n# escape=`\n",
        "# escape=`\r\n",
        "# check=skip=all\n# escape=`\n",
        "\ufeff# escape=`\n",
    ],
)
def test_directives(text):
    assert escape_of(text) == "`"


@pytest.mark.parametrize(
    "text",
    [
        "\n# escape=`\n",
        "# words\n# escape=`\n",
        "# foo=bar\n# escape=`\n",
        "#\n# escape=`\n",
        "# escape=\n# escape=`\n",
        "ARG A\n# escape=`\n",
        "# escape =\n# escape=`\n",
    ],
)
def test_what_ends_the_directives(text):
    assert escape_of(text) == "\\"


def test_directives_are_kept():
    found = file("# Syntax = docker/dockerfile:1 \n# check=error=true\nFROM b\n").directives
    assert [(one.name, one.value, one.span.line) for one in found] == [
        ("syntax", "docker/dockerfile:1", 1),
        ("check", "error=true", 2),
    ]


def test_directives_behind_a_first_line_for_another_program():
    found = file("#!/usr/bin/env x\n# escape=`\n# check=skip=all\n# check=skip=A\nFROM b\nRUN a `\nRUN b\n")
    assert [(one.name, one.value, one.span.line) for one in found.directives] == [("check", "skip=all", 3)]
    assert len(found.instructions) == 3  # as for BuildKit, the escape character is not among them


@pytest.mark.parametrize("second", ["# syntax=a\n", "# SYNTAX=b\n"])
def test_a_directive_twice(second):
    with pytest.raises(BuildFileError, match="syntax is given twice"):
        file("# syntax=a\n" + second + "FROM b\n")


@pytest.mark.parametrize("value", ["x", "\\\\", "``", "' '", " ", "\t\t"])
def test_other_escapes(value):
    with pytest.raises(BuildFileError, match="invalid escape character"):
        file(f"# escape={value}\nFROM b\n")


def test_the_other_escape_in_words_and_lines():
    found = file('# escape=`\nFROM b\nENV A=`$x B=c:\\d `\n    C=`"\nWORKDIR c:\\\n').instructions
    assert [pair.value.parts[0].text for pair in found[1].pairs] == ["$x", "c:\\d", '"']
    assert found[2].path.parts[0].text == "c:\\"


# --- what is no text ---


def test_bom_and_no_line_end():
    assert len(file(b"\xef\xbb\xbfFROM b\nRUN a").instructions) == 2
    with pytest.raises(BuildFileError, match="unknown instruction"):
        file(b"FROM b\n\xef\xbb\xbfRUN a")


def test_invalid_utf_8_is_kept():
    text = file(b"FROM b\nRUN echo \xff\n").instructions[1].command.text
    assert text.encode("utf-8", "surrogateescape") == b"echo \xff"


def test_nul():
    found = file("FROM b\n# \0\nLABEL a=b\0c\n")
    assert found.warnings == (
        ("the line has a NUL character", Span(2, 3, 2, 4)),
        ("the line has a NUL character", Span(3, 10, 3, 11)),
    )
    assert found.instructions[1].pairs[0].value.text == "b\0c"


@pytest.mark.parametrize(("size", "good"), [(65535, True), (65536, False)])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_longest_line(size, good, letter):
    width = len(letter.encode())
    text = "RUN " + " " * ((size - 4) % width) + letter * ((size - 4) // width)
    assert len(text.encode()) == size
    if good:
        assert line(text)
    else:
        assert errors(text)[0][3] == "the line is longer than 65535 bytes"


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# c\n", b"   ", b"\xef\xbb\xbf"])
def test_no_instructions(text):
    with pytest.raises(BuildFileError, match="no instructions"):
        file(text)
