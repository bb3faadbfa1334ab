"""Whatever is a build file parses, keeps its tree when printed and formatted; whatever is none is refused in time."""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from pathlib import Path

import pytest
from buildfiles import buildfiles, printed
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.buildfile import globs, wordparse
from builder.buildfile.encode import decode, encode
from builder.buildfile.format import format_text, same_meaning
from builder.buildfile.ignorefile import read_ignore_file
from builder.buildfile.parse import parse
from builder.buildfile.syntax import Span
from builder.buildfile.wordparse import WordError, parse_word
from builder.buildfile.words import expand
from builder.errors import BuildFileError

CORPUS = sorted((Path(__file__).parent.parent / "corpus").glob("*.Buildfile"))
NOWHERE = Span(1, 1, 1, 1)
SLOW = settings(max_examples=150)


@SLOW
@given(buildfiles())
def test_generated_files_parse(text):
    file = parse(text.encode(), "f")
    count = len(re.findall(r"(?im)^[ \t]*from\b", text))
    assert file.instructions or not count


@SLOW
@given(buildfiles())
def test_a_tree_survives_printing(text):
    file = parse(text.encode(), "f")
    again = parse(printed(file).encode("utf-8", "surrogateescape"), "f")
    assert [type(line) for line in file.instructions] == [type(line) for line in again.instructions]
    for one, other in zip(file.instructions, again.instructions, strict=True):
        assert same_meaning(one, other), f"{one}\n{other}"


@SLOW
@given(buildfiles())
def test_a_tree_survives_the_store(text):
    file = parse(text.encode(), "f")
    assert decode(encode(file), "f") == file


@SLOW
@given(buildfiles())
def test_formatting_keeps_the_meaning_and_is_done_once(text):
    once = format_text(text.encode(), "f")
    assert same_meaning(parse(text.encode(), "f"), parse(once, "f"))
    assert format_text(once, "f") == once


@SLOW
@given(buildfiles())
def test_spans_hold_what_they_say(text):
    file = parse(text.encode(), "f")
    last = 0
    for line in file.instructions:
        span = line.span
        assert last < span.line <= span.end_line <= len(file.lines)
        assert re.match(r"[ \t]*\w", file.lines[span.line - 1][span.column - 1 :])
        last = span.end_line


# --- words, with a shell as the judge ---------------------------------------------------------------

VARIABLES = {"A": "abcabc", "B": "", "C": "x y", "path": "/usr/lib/x.tar.gz", "a_1": "*"}
SAFE = st.text("abxyz019./:-_+,", min_size=1, max_size=5)
NAME = st.sampled_from([*VARIABLES, "none"])


def braced(inner):
    return st.one_of(
        NAME.map("${{{}}}".format),
        NAME.map("${}".format),
        st.builds("${{{}{}{}}}".format, NAME, st.sampled_from([":-", "-", ":+", "+"]), inner),
    )


PATTERN = st.text("abx*?./y", max_size=4)
STRIPPED = st.builds("${{{}{}{}}}".format, NAME, st.sampled_from(["#", "##", "%", "%%"]), PATTERN)
VARIABLE = braced(st.one_of(SAFE, braced(SAFE)))
WORD = st.lists(
    st.one_of(
        SAFE,
        VARIABLE,
        STRIPPED,
        st.one_of(SAFE, VARIABLE, STRIPPED, st.sampled_from([" ", "'", "\\$", "\\\\", '\\"', "\\a"])).map(
            '"{}"'.format
        ),
        SAFE.map("'{} $A \\ \"'".format),
        st.sampled_from(["\\$", "\\ ", "\\\\", "\\'", '\\"', "\\a", "''", '""']),
    ),
    max_size=4,
).map("".join)


@settings(max_examples=25)
@given(st.lists(WORD, min_size=20, max_size=20))
def test_words_come_to_what_a_shell_makes_of_them(words):
    script = "".join(f"v={word}\nprintf '%s\\n' \"$v\"\n" for word in words)
    done = subprocess.run(["sh", "-c", script], env=VARIABLES, capture_output=True, text=True, check=True)
    found = [expand(parse_word(word, NOWHERE), VARIABLES.get) for word in words]
    assert found == done.stdout.split("\n")[:-1]


PATTERNS = ("#", "%%", "/")
LEVEL = st.one_of(
    st.tuples(
        st.sampled_from("AB"),
        st.sampled_from([":-", "-", ":+", "+"]),
        st.sampled_from(["", "l", "/"]),
        st.just("r"),
    ),
    st.tuples(st.sampled_from("ABN"), st.sampled_from([":-", "-", ":+", "+"]), st.just(""), st.just("")),
    st.tuples(
        st.just("A"), st.sampled_from([":?", "?"]), st.sampled_from(["", "l"]), st.sampled_from(["", "r"])
    ),
    st.tuples(st.sampled_from("ABN"), st.sampled_from(PATTERNS), st.just(""), st.just("")),
)
LEVELS = st.lists(LEVEL, min_size=1, max_size=6)


def come_to(value, operator, inner):
    """What a variable with an argument comes to: of the patterns here only equal texts match."""
    if operator in (":-", "-"):
        return inner if value is None or (operator == ":-" and not value) else value
    if operator in (":+", "+"):
        return "" if value is None or (operator == ":+" and not value) else inner
    if operator in (":?", "?"):
        return value
    return "" if inner == value else value or ""


@settings(max_examples=12)
@given(LEVELS, st.integers(1, 1200))
def test_words_nested_in_one_another(levels, times):
    values = {"A": "x", "B": ""}
    openings, closings, expected = [], [], "x"
    for level in levels * times:  # from the innermost to the outermost
        name, operator, before, behind = level
        if operator in PATTERNS and len(expected) > 1:  # what begins or ends alike only would match, too
            continue
        expected = come_to(values.get(name), operator, before + expected + behind)
        openings.append(f"${{{name}{operator}{before}")
        closings.append(f"{behind}/}}" if operator == "/" else f"{behind}}}")
    text = "".join([*reversed(openings), "x", *closings])
    assert expand(parse_word(text, NOWHERE), values.get) == expected
    source = f"FROM b\nWORKDIR {text}\n"
    file = parse(source.encode(), "f")
    assert not file.mistakes
    assert decode(encode(file), "f") == file
    assert parse(printed(file).encode(), "f").instructions[1] == file.instructions[1]
    assert same_meaning(parse(format_text(source.encode(), "f"), "f"), file)


@settings(max_examples=400)
@given(st.text("${}:-+?#%/\"'\\`aA_1 é\n", max_size=14), st.sampled_from("\\`"))
def test_the_way_around_the_grammar_leads_to_the_same(text, escape):
    short = wordparse._simple(text, escape)
    if short is None:
        return
    assert short == wordparse._parse(text, "word", escape)


@settings(max_examples=400)
@given(st.text("ab*?\n.", max_size=6), st.text("ab\n.", max_size=12))
def test_patterns_match_as_expressions_do(pattern, text):
    def expression(star):
        parts = {"*": star, "?": "."}
        return "".join(parts.get(sign, re.escape(sign)) for sign in pattern)

    glob = globs.parse_glob(pattern)
    for longest, star in ((True, ".*"), (False, ".*?")):
        found = re.match(expression(star), text)
        if "\n" not in pattern:
            assert globs.match_beginning(glob, text, longest=longest) == (found.end() if found else None)
    if "\n" not in pattern:
        expected = []
        for found in re.finditer(expression(".*"), text):
            if found.start() == found.end() and expected and found.start() == expected[-1][1]:
                continue  # Go takes no empty match right behind another one
            expected.append(found.span())
        assert list(globs.matches(glob, text)) == expected


# --- what is no build file --------------------------------------------------------------------------

PIECES = [
    *(
        b" ",
        b"\t",
        b"\\",
        b"\\\n",
        b"\n",
        b'"',
        b"'",
        b"$",
        b"${",
        b"}",
        b"<<",
        b"<<EOF",
        b"<<-EOF\n\tx\n\tEOF\n",
    ),
    *(
        b"[",
        b"]",
        b'["a"]',
        b"--",
        b"--from=x ",
        b"=",
        b"#",
        b"\r\n",
        b"`",
        b"/",
        b":",
        b"%",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
    ),
    *(
        b"ONBUILD ",
        b"RUN ",
        b"ENV a=b",
        b"\xc2\xa0",
        b"COPY ",
        b",",
        b"{",
        b"# escape=`\n",
        b"--mount=type=",
        b"${a#*",
        b"${a//",
    ),
]


def mutated(source):
    """A file of the corpus with a few accidents."""
    text = bytearray(source.choice(CORPUS).read_bytes()[:3000])
    for _ in range(source.randint(1, 5)):
        at = source.randrange(len(text) + 1)
        kind = source.random()
        if kind < 0.6:
            text[at:at] = source.choice(PIECES)
        elif kind < 0.8:
            del text[at : at + source.randint(1, 8)]
        else:
            text[at:at] = source.choice(CORPUS).read_bytes()[: source.randint(1, 60)]
    return bytes(text)


def survives(text):
    """Read a text in all ways; only `BuildFileError` may come out of that, and soon."""
    started = time.process_time()
    read_ignore_file(text)
    try:
        file = parse(text, "f")
    except BuildFileError as error:
        assert error.message
    else:
        assert decode(encode(file), "f") == file
        once = format_text(text, "f")
        assert format_text(once, "f") == once
    assert time.process_time() - started < 20 * max(
        1, len(text) / 65536
    )  # milliseconds, unless it is quadratic


def test_accidents():
    # The same ones each time, unless others are asked for: ACCIDENTS_SEED=random ACCIDENTS=100000
    seed = os.environ.get("ACCIDENTS_SEED", "1")
    source = random.Random(None if seed == "random" else seed)
    for _ in range(int(os.environ.get("ACCIDENTS", "4000")) // 4):
        text = mutated(source)
        try:
            survives(text)
        except Exception as error:
            raise AssertionError(repr(text)) from error


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes(text):
    survives(text)


@settings(max_examples=300)
@given(st.text("${}:-+?#%/\"'\\`*ab \n", max_size=30), st.sampled_from("\\`"))
def test_any_word(text, escape):
    try:
        word = parse_word(text, NOWHERE, escape=escape)
    except WordError as error:
        assert 0 <= error.offset <= len(text)
        assert error.length >= 1
        return
    try:
        assert isinstance(expand(word, {"a": "abab", "b": ""}.get), str)
    except BuildFileError as error:
        assert error.message


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_corpus_survives(path):
    survives(path.read_bytes())
