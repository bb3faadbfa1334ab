"""Errors as people read them: exact texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.cli.message import error_text
from builder.errors import BuilderError, BuildFileError, CommandError, Location, UsageError


def test_without_a_place() -> None:
    assert error_text(UsageError("the build context is missing", hint="pybuild .")) == (
        "error: the build context is missing\n  hint: pybuild .\n"
    )


def test_the_words_are_marked() -> None:
    place = Location("sub/Buildfile", 3, 6, 7, "COPY --chwon=1 a b")
    error = BuildFileError("unknown flag --chwon", hint="did you mean --chown?", location=place)
    assert error_text(error) == (
        "sub/Buildfile:3:6: error: unknown flag --chwon\n"
        "  COPY --chwon=1 a b\n"
        "       ^^^^^^^\n"
        "  hint: did you mean --chown?\n"
    )


def test_others_follow_in_the_same_form() -> None:
    second = BuildFileError("second", location=Location("F", 2, 1, 3, "abc"))
    first = BuildFileError("first", location=Location("F", 1, 2, 1, "xy"), others=(second,))
    assert error_text(first) == "F:1:2: error: first\n  xy\n   ^\nF:2:1: error: second\n  abc\n  ^^^\n"


def test_tabs_and_wide_letters_keep_the_mark_in_its_place() -> None:
    text = error_text(BuilderError("x", location=Location("F", 1, 3, 3, "\t漢e\u0301字b")))
    assert text.splitlines()[2] == "  \t  ^^^"
    text = error_text(BuilderError("x", location=Location("F", 1, 2, 1, "漢字")))
    assert text.splitlines()[2] == "    ^^"


def test_places_outside_of_the_line_do_no_harm() -> None:
    for place in (
        Location("F", 1, 99, 5, "ab"),
        Location("F", 1, 1, 99, "ab"),
        Location("F", 0, 0, 0, "ab"),
        Location("F", 1, 1, 1, ""),
    ):
        assert "error: x\n" in error_text(BuilderError("x", location=place))
    assert error_text(BuilderError("x", location=Location("F", 1, 1, 99, "ab"))).splitlines()[2] == "  ^^"


def test_a_long_line_is_shown_around_the_words() -> None:
    source = "RUN " + "a" * 500 + "BAD" + "b" * 500
    text = error_text(BuilderError("x", location=Location("F", 1, 505, 3, source)))
    line, mark = text.splitlines()[1:3]
    assert len(line) <= 125
    assert line[mark.index("^") : mark.rindex("^") + 1] == "BAD"
    assert line.startswith("  …") and line.endswith("…")


@given(st.text(max_size=300), st.integers(-5, 400), st.integers(-5, 400))
def test_any_place_in_any_line(source: str, column: int, width: int) -> None:
    source = source.replace("\n", "")
    text = error_text(BuilderError("x", location=Location("F", 1, column, width, source)))
    assert len(text.split("\n")) == (4 if source else 2)
    assert all(sign.isprintable() or sign in "\t\n\u00a0\u3000" for sign in text)


def test_the_last_output_of_a_command() -> None:
    error = CommandError("exit code: 7", status=7, output=b"one\ntwo \x1b[31mred\x1b[0m\n10%\r100%\r\n\xff\n")
    assert error_text(error) == (
        "error: exit code: 7\nlast output:\n  | one\n  | two red\n  | 100%\n  | \ufffd\n"
    )
    assert error_text(error, output=False) == "error: exit code: 7\n"
    many = CommandError("x", status=1, output=b"".join(b"%d\n" % number for number in range(100)))
    lines = error_text(many).splitlines()
    assert lines[1] == "last 20 lines of output:"
    assert lines[2:] == [f"  | {number}" for number in range(80, 100)]


def test_nothing_reaches_the_terminal_as_a_command() -> None:
    evil = "\x1b]0;title\x07a\x1b[2Jb\u202ec\nd"
    text = error_text(BuilderError(evil, hint=evil, location=Location(evil, 1, 1, 1, evil)))
    assert "\x1b" not in text and "\u202e" not in text and "\x07" not in text
    assert len(text.splitlines()) == 4
