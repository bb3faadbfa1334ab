"""Comments that control how a step is cached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.buildfile.controls import expiry
from builder.buildfile.encode import decode, encode
from builder.buildfile.format import format_text
from builder.buildfile.parse import parse
from builder.errors import BuildFileError


def controls(text: str) -> list[tuple[int, str, str]]:
    """Index of the instruction, name and value of each setting."""
    file = parse(text.encode(), "Buildfile")
    assert decode(encode(file), "Buildfile") == file
    return [(item.instruction, item.name, item.value) for item in file.controls]


def mistake(text: str) -> tuple[str, int, int, str]:
    """Message, line, column and hint of the only mistake of a file."""
    with pytest.raises(BuildFileError) as caught:
        parse(text.encode(), "Buildfile")
    error = caught.value
    assert error.location is not None and not error.others
    return error.message, error.location.line, error.location.column, error.hint or ""


@pytest.mark.parametrize(
    ("comment", "settings"),
    [
        ("# pybuild: cache=never", [("cache", "never")]),
        ("#pybuild:cache=never", [("cache", "never")]),
        ("  #  pybuild :  expires=24h  ", [("expires", "24h")]),
        (
            '# pybuild: recheck="git ls-remote \\"x y\\" | cut -c1-40"',
            [("recheck", 'git ls-remote "x y" | cut -c1-40')],
        ),
        ("# pybuild: recheck=date", [("recheck", "date")]),
        ('# pybuild: expires=7d recheck="a b"', [("expires", "7d"), ("recheck", "a b")]),
        ("# pybuild: expires=7d\n# why\n\n# pybuild: recheck=date", [("expires", "7d"), ("recheck", "date")]),
        ("# pybuild is good: cache=never", []),
        ("# see pybuild: cache=never", []),
    ],
)
def test_settings_stand_above_their_step(comment: str, settings: list[tuple[str, str]]) -> None:
    text = f"FROM scratch\nRUN one\n{comment}\nRUN two\nRUN three\n"
    assert controls(text) == [(2, name, value) for name, value in settings]


def test_only_comments_count() -> None:
    assert (
        controls("FROM scratch\nRUN <<E\n# pybuild: cache=never\nE\nRUN echo '# pybuild: cache=never'\n")
        == []
    )
    assert controls("FROM a\n# pybuild: cache=never\nCOPY a b\n# pybuild: expires=1h\nWORKDIR /x\n") == [
        (1, "cache", "never"),
        (2, "expires", "1h"),
    ]


@pytest.mark.parametrize(
    ("comment", "message", "column", "hint"),
    [
        ("# pybuild: cahce=never", "there is no setting 'cahce' of a step", 12, "did you mean cache=…?"),
        ("# pybuild: expiers", "there is no setting 'expiers' of a step", 12, "did you mean expires=…?"),
        (
            "# pybuild: something else",
            "there is no setting 'something' of a step",
            12,
            "write # pybuild: cache=never",
        ),
        ("# pybuild:", "this comment sets nothing", 1, "write # pybuild: cache=never"),
        ("# pybuild: cache", "cache needs a value", 12, "write # pybuild: cache=never"),
        ("# pybuild: cache=no", "cache=no means nothing", 12, "write cache=never"),
        (
            "# pybuild: expires=tomorrow",
            "expires=tomorrow is no time that can pass",
            12,
            "90m, 24h, 7d or 2w",
        ),
        ("# pybuild: expires=0", "expires=0 is no time that can pass", 12, "24h"),
        ("# pybuild: expires=-1h", "expires=-1h is no time that can pass", 12, "24h"),
        ('# pybuild: recheck=""', "recheck= has no command", 12, 'recheck="command"'),
        ('# pybuild: recheck="date', "a quote is not closed, or text follows it", 20, 'recheck="command"'),
        ('# pybuild: recheck="date"x', "a quote is not closed, or text follows it", 20, 'recheck="command"'),
        ("# pybuild: expires=1h expires=2h", "expires= is given twice", 23, "line 2 has it already"),
        (
            "# pybuild: cache=never expires=2h",
            "cache=never leaves nothing for other settings",
            24,
            "leave one",
        ),
        (
            "# pybuild: recheck=a cache=never",
            "cache=never leaves nothing for other settings",
            22,
            "leave one",
        ),
    ],
)
def test_a_wrong_setting_is_told_with_its_place(comment: str, message: str, column: int, hint: str) -> None:
    found, line, at, said = mistake(f"FROM scratch\n{comment}\nRUN x\n")
    assert found.startswith(message) and (line, at) == (2, column) and hint in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# pybuild: cache=never\nFROM scratch\n", "cache= stands above FROM, which is no step"),
        ("FROM a\n# pybuild: expires=1h\nENV A=1\n", "expires= stands above ENV, which is no step"),
        ("FROM a\n# pybuild: expires=1h\nONBUILD RUN x\n", "expires= stands above ONBUILD, which is no step"),
        ("FROM a\n# pybuild: recheck=date\nCOPY a b\n", "recheck= stands above COPY, but only RUN has it"),
        ("FROM a\nRUN x\n# pybuild: cache=never\n", "this comment stands above no instruction"),
        ("FROM a\nRUN x \\\n# pybuild: cache=never\n  y\n", "this comment stands inside an instruction"),
    ],
)
def test_a_setting_in_a_wrong_place_is_told(text: str, message: str) -> None:
    assert mistake(text)[0].startswith(message)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", 5400),
        ("24h", 86400),
        ("7d", 604800),
        ("2w", 1209600),
        ("1w2d3h", 788400),
        ("1.5h", 5400),
        ("1ms", 1),
    ]
    + [
        (text, 0)
        for text in ("", "0", "0d", "1", "d", "1x", "-1h", "1d-1h", "h1", "1d1w", "99999999999999999999d")
    ],
)
def test_times(text: str, seconds: int) -> None:
    assert expiry(text) == seconds


@given(st.text(alphabet='pybuild: cachenvrxsk="\\#\t\n1dh', max_size=60))
def test_any_comment_is_read_or_refused(text: str) -> None:
    try:
        file = parse(f"FROM scratch\n# pybuild: {text}\nRUN x\n".encode(), "Buildfile")
    except BuildFileError as error:
        assert error.location is not None
    else:
        assert file.controls or "\n" in text


def test_formatting_keeps_them() -> None:
    text = b"from scratch\n\n\n#   pybuild: cache=never   \nrun x\n# pybuild:  expires=24h\n\nfrom a\n"
    with pytest.raises(BuildFileError):
        format_text(text, "Buildfile")  # above a FROM it means nothing
    text = text.replace(b"# pybuild:  expires=24h\n", b"# pybuild:  expires=24h\n  copy a b\n")
    done = format_text(text, "Buildfile")
    assert done == (
        b"FROM scratch\n\n#   pybuild: cache=never\nRUN x\n# pybuild:  expires=24h\nCOPY a b\n\nFROM a\n"
    )
    assert [item.value for item in parse(done, "Buildfile").controls] == ["never", "24h"]
