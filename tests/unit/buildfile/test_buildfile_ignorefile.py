"""Ignore files: what is a rule, and how it is written."""

import pytest

from builder.buildfile.ignorefile import read_ignore_file


def patterns(text):
    return [rule.pattern for rule in read_ignore_file(text)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"a", ["a"]),
        (b"  a \t", ["a"]),
        (b"a\r", ["a"]),
        (b"# a", []),
        (b" # a", ["# a"]),  # a comment begins in the first column only
        (b"#", []),
        (b"", []),
        (b"   ", []),
        (b"/a", ["a"]),
        (b"//a", ["a"]),
        (b"/", ["/"]),
        (b"a/", ["a"]),
        (b"./a", ["a"]),
        (b"a/./b", ["a/b"]),
        (b"a/../b", ["b"]),
        (b"../a", ["../a"]),
        (b".", ["."]),
        (b"!a", ["!a"]),
        (b"! a", ["!a"]),
        (b"!/a/", ["!a"]),
        (b"!", ["!"]),
        (b"!!a", ["!!a"]),
        (b"**/*.pyc", ["**/*.pyc"]),
        (b"a b", ["a b"]),
        (b"\xef\xbb\xbfa", ["a"]),
        ("é".encode(), ["é"]),
        (b"\xff", ["\udcff"]),
        (b"a\\b", ["a\\b"]),
    ],
)
def test_rules(line, expected):
    assert patterns(line + b"\n") == expected


def test_rules_know_where_they_stand():
    rules = read_ignore_file(b"# c\n\na\r\n !b \nc")
    assert [(rule.pattern, rule.line, rule.text) for rule in rules] == [
        ("a", 3, "a"),
        ("!b", 4, " !b "),
        ("c", 5, "c"),
    ]
