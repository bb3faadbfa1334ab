"""Words: quotes, escapes, variables, and what they come to."""

import pickle

import pytest
from reading import shape, value

from builder.buildfile import wordparse
from builder.buildfile.syntax import Span
from builder.buildfile.wordparse import WordError, parse_body, parse_word
from builder.buildfile.words import expand
from builder.errors import BuildFileError

NOWHERE = Span(1, 1, 1, 1)
V = {"v": "foobarbaz", "e": "", "str": "S", "str_x": "X", "p": "/a/b/c.tar.gz", "w": "a b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$v", "foobarbaz"),
        ("x$v-y", "xfoobarbaz-y"),
        ("$str_x", "X"),
        ("${str}_x", "S_x"),
        ("$none", ""),
        ("${none}", ""),
        ("$1x", "x"),
        ("$12x", "x"),
        ("$$", ""),
        ("$$v", "v"),
        ("$@$*$#$?$-$!$0", ""),
        ("${1}${@}", ""),
        ("a$", "a$"),
        ("$.", "$."),
        ("$ ", "$ "),
        ("$é", ""),
        ("${none:-w}", "w"),
        ("${e:-w}", "w"),
        ("${v:-w}", "foobarbaz"),
        ("${none-w}", "w"),
        ("${e-w}", ""),
        ("${v:+w}", "w"),
        ("${e:+w}", ""),
        ("${none:+w}", ""),
        ("${e+w}", "w"),
        ("${none+w}", ""),
        ("${v:?w}", "foobarbaz"),
        ("${e?w}", ""),
        ("${none:-}", ""),
        ("${none:-$str}", "S"),
        ("${none:-${e:-${str}}}", "S"),
        ("${none:-'a b'}", "a b"),
        ('${none:-"a $str"}', "a S"),
        ("${none:-a\\}b}", "a}b"),
        ("${none:-a/b}", "a/b"),
        ('"${none:-"x"}"', "x"),
        ("${none:-{}", "{"),
        ("${v#f*b}", "arbaz"),
        ("${v##f*b}", "az"),
        ("${v%b*}", "foobar"),
        ("${v%%b*}", "foo"),
        ("${v#x}", "foobarbaz"),
        ("${v#}", "foobarbaz"),
        ("${v#???}", "barbaz"),
        ("${v##*}", ""),
        ("${v#*}", "foobarbaz"),
        ("${v%*}", "foobarbaz"),
        ("${v%%*}", ""),
        ("${p##*/}", "c.tar.gz"),
        ("${p%%.*}", "/a/b/c"),
        ("${p%/*}", "/a/b"),
        ("${p#*/}", "a/b/c.tar.gz"),
        ("${v#[f]}", "foobarbaz"),
        ("${none#x}", ""),
        ("${v#$str}", "foobarbaz"),
        ("${v#${none:-foo}}", "barbaz"),
        ("${v/b*/X}", "fooX"),
        ("${v/b/X}", "fooXarbaz"),
        ("${v//b/X}", "fooXarXaz"),
        ("${v//b?r/}", "foobaz"),
        ("${v/#f/X}", "foobarbaz"),
        ("${v/%z/X}", "foobarbaz"),
        ("${p//\\//_}", "_a_b_c.tar.gz"),
        ("${v/o/$str}", "fSobarbaz"),
        ("${v//o/<$0>}", "f<><>barbaz"),  # $0 is a variable of the build file first
        ("${v//o/<\\$0>}", "f<\\o><\\o>barbaz"),
        ("${v//o/\\$1}", "f\\\\barbaz"),
        ("${v//o/'<$0>'}", "f<o><o>barbaz"),  # what is replaced, as Go's templates have it
        ("${v//o/'<${0}$9>'}", "f<o><o>barbaz"),
        ("${v//o/'$$'}", "f$$barbaz"),
        ("${v/o/'<$0>'}", "f<$0>obarbaz"),  # but not where one is replaced
        ("${p#*c}", ".tar.gz"),  # a star goes beyond slashes
        ("${p/\\/a*/}", ""),
        ("${v/f?o/}", "barbaz"),
        ("${none/x/y}", ""),
        ("${v//}", None),
        ("\\$v", "$v"),
        ("\\${v}", "${v}"),
        ("'$v'", "$v"),
        ("'a\\'", "a\\"),
        ("'a'b'c'", "abc"),
        ('"$v"', "foobarbaz"),
        ('"\\$v"', "$v"),
        ('"a\\ b"', "a\\ b"),
        ('"a\\"b"', 'a"b'),
        ('"a\\\\b"', "a\\b"),
        ('"it\'s"', "it's"),
        ("abc\\tdef", "abctdef"),
        ("a\\ b", "a b"),
        ("a\\", "a"),
        ("\\\\", "\\"),
        ("`date`", "`date`"),
        ("$(date)", "$(date)"),
        ("~", "~"),
        ('""', ""),
        ("''", ""),
        ("a{b}c", "a{b}c"),
        ("a/b}", "a/b}"),
        ("$w", "a b"),
        ("${v}}", "foobarbaz}"),
        ("{$v}", "{foobarbaz}"),
        ("日${none:-本}", "日本"),
    ],
)
def test_values(text, expected):
    if expected is None:
        with pytest.raises(WordError, match="missing '/'"):
            value(text, **V)
    else:
        assert value(text, **V) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${none:?w}", "none: w"),
        ("${e:?w}", "e: w"),
        ("${none?w}", "none: w"),
        ("${none:?}", "none: is not allowed to be unset"),
        ("${e:?}", "e: is not allowed to be empty"),
        ("${none?}", "none: is not allowed to be unset"),
        ("${none:?say $str}", "none: say S"),
        ("${v#a\\b}", "bad pattern"),
        ("${v%a\\}", "missing"),
        ("${v:-${none?w}}", "none: w"),
        ("${e:+${none?w}}", "none: w"),
        ("${v:-${v#a\\b}}", "bad pattern"),
    ],
)
def test_values_that_are_mistakes(text, message):
    with pytest.raises((BuildFileError, WordError), match=message):
        value(text, **V)


@pytest.mark.parametrize(
    ("text", "message", "offset", "length"),
    [
        ("a${", "needs the name", 1, 2),
        ("${}", "needs the name", 0, 2),
        ("${:x}", "needs the name", 0, 2),
        ("${{", "needs the name", 0, 2),
        ("x${v", "brace } is missing", 1, 2),
        ("${v:-a", "brace } is missing", 0, 2),
        ("${v:-${w}", "brace } is missing", 0, 2),
        ("${v:-'a}", "single-quote", 5, 1),
        ("${#v}", "not known in build files", 0, 3),
        ("${!v}", "not known in build files", 0, 3),
        ("${v:=w}", "modifier .:=.", 3, 2),
        ("${v=w}", "modifier .=w?.", 3, 1),
        ("${v:1:2}", "modifier .:1.", 3, 2),
        ("${v^^}", "modifier .\\^\\^.", 3, 2),
        ("${v,,}", "modifier .,,.", 3, 2),
        ("${v:#x}", "modifier .:#.", 3, 2),
        ("${v:%x}", "modifier .:%.", 3, 2),
        ("${v/p}", "missing '/'", 0, 2),
        ("${v//p}", "missing '/'", 0, 2),
        ("${v", "brace } is missing", 0, 2),
        ("a'b", "single-quote", 1, 1),
        ('a"b', "double-quote", 1, 1),
        ("a\"b'", "double-quote", 1, 1),
    ],
)
def test_words_that_are_none(text, message, offset, length):
    with pytest.raises(WordError, match=message) as caught:
        parse_word(text, NOWHERE)
    assert caught.value.offset == offset
    assert caught.value.length == length


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`$v", "$v"),
        ("\\$v", "\\foobarbaz"),
        ('"`""', '"'),
        ("c:\\a", "c:\\a"),
        ("a`", "a"),
        ('"`a"', "`a"),
        ("'`'", "`"),
    ],
)
def test_the_other_escape(text, expected):
    assert value(text, "`", **V) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'$v'", "'foobarbaz'"),
        ('"$v', '"foobarbaz'),
        ("\\$v", "$v"),
        ("a\\b", "ab"),
        ("${none:-'q'}", "'q'"),
        ("${none:-it's}", "it's"),
        ("${v/o/'}", "f'obarbaz"),
        ('${v#f"}', "foobarbaz"),
        ("${v}}", "foobarbaz}"),
    ],
)
def test_bodies(text, expected):
    assert expand(parse_body(text, NOWHERE), V.get) == expected


DEEP = 10_000


@pytest.mark.parametrize(
    ("opening", "closing", "expected"),
    [
        ("${a:-", "}", "x"),
        ("${a-b", "}", "b" * DEEP + "x"),
        ("${v:+", "}c", "x" + "c" * DEEP),
        ("${v:?", "}", "foobarbaz"),
        ("${v#", "}", ""),  # each pattern is the value of the one within: all of it, nothing, and so on
        ("${v%%", "}*", "*"),
        ("${v//", "/}", ""),
        ("${v/", "/}", ""),
        ("${v/o/", "}", "f" * DEEP + "x" + "obarbaz" * DEEP),
        ("${e//*/a", "}", "a" * DEEP + "x"),
        ('"${a:-', '}"', "x"),
    ],
)
def test_nesting(opening, closing, expected):
    assert value(opening * DEEP + "x" + closing * DEEP, **V) == expected


def test_a_deep_word_is_a_value():
    text = "${a:-" * DEEP + "x" + "}" * DEEP
    word = parse_word(text, NOWHERE)
    other = parse_word(text, NOWHERE)
    assert word == other and hash(word) == hash(other)
    assert repr(word).count("Variable") == DEEP
    assert pickle.loads(pickle.dumps(word)) == word


def test_a_deep_value_that_is_a_mistake():
    with pytest.raises(BuildFileError, match="b: needed"):
        value("${a:-" * DEEP + "${b:?needed}" + "}" * DEEP)
    with pytest.raises(WordError, match="brace } is missing"):
        value("${a:-" * DEEP + "}" * (DEEP - 1))
    with pytest.raises(WordError, match="modifier"):
        value("${a:-" * DEEP + "${b^}" + "}" * DEEP)


@pytest.mark.parametrize("escape", ["\\", "`"])
@pytest.mark.parametrize(
    "text",
    [
        *(
            "a$b",
            "${b}c",
            '"a $b c"',
            "'a $b'",
            '"it\'s $b"',
            'a"b"c',
            '""',
            "''",
            'a""',
            '"$"',
            "$",
            "a$.b",
            "$$",
            "$1x",
        ),
        *(
            '"a',
            "'a",
            "${",
            "${a",
            "a${b:-c}",
            '"${a:-b}"',
            "${}",
            "\"$a\"'b'$c",
            "a=b",
            "é$é",
            '"a"b"c"',
            '$a"$b"${c}',
        ),
    ],
)
def test_the_way_around_the_grammar_leads_to_the_same(text, escape):
    short = wordparse._simple(text, escape)
    if short is not None:
        assert shape(short) == shape(wordparse._parse(text, "word", escape))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\$$v", "$foobarbaz"),
        ("\\$${v}", "$foobarbaz"),
        ("\\\\$v", "\\foobarbaz"),
        ('"\\$$v"', "$foobarbaz"),
        ("\\\\\\$v", "\\$v"),
        ("\\$$$", "$"),
        ("'\\\\$'", "\\\\$"),
    ],
)
def test_an_escaped_dollar_sign_is_no_part_of_what_follows(text, expected):
    assert value(text, **V) == expected
