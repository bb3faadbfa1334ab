"""The same files through our parser and through the official one: the same instructions, or both refuse."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import official
import pytest
from conformance import parse_case

from builder.buildfile.heredocs import opening
from builder.buildfile.parse import parse
from builder.buildfile.syntax import Onbuild
from builder.errors import BuildFileError

try:
    import dockerfile
except ImportError:
    # On the machines that it has wheels for it is part of the tests' requirements: there its absence is a failure.
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        raise
    pytest.skip("NO ORACLE: the package dockerfile has no wheel for this machine", allow_module_level=True)

TESTS = Path(__file__).parent.parent.parent
EXAMPLES = TESTS.parent / "examples"


def collect():
    for path in sorted((TESTS / "corpus").glob("*.Buildfile")):
        yield path.stem, path.read_bytes()
    for path in sorted(EXAMPLES.rglob("*Buildfile")):
        yield f"examples-{'-'.join(path.relative_to(EXAMPLES).parts)}", path.read_bytes()
    for place in ("cases", "more/cases"):
        for path in sorted((TESTS / "conformance" / place).glob("*.txtar")):
            case = parse_case(path)
            if case.buildfile in case.sections:
                yield f"{place.partition('/')[0]}-{path.stem}", case.sections[case.buildfile].encode()


FILES = dict(collect())

NEWER = {
    "more-heredoc-space": "BuildKit takes blanks between << and the name since 0.15",
    "more-heredoc-space-2": "BuildKit takes blanks between << and the name since 0.15",
    "more-parse-json-multi": "text behind a JSON array makes it shell form since BuildKit 0.13",
    "heredoc-blank-before-name": "BuildKit takes blanks between << and the name since 0.15",
    "json-text-behind": "text behind a JSON array makes it shell form since BuildKit 0.13",
}
"""Files in which the oracle is older than the BuildKit that we follow."""


LATER = (
    ("unknown flag", "the parser only collects flags"),
    ("duplicate flag", "the parser only collects flags"),
    ("missing a value on flag", "the parser only collects flags"),
    ("the quote is never closed", "flags end at the end of their line, quotes or not"),
    ("is true or false, not", "the parser only collects flags"),
    ("is a number from 0", "values are checked when instructions are made"),
    ("HEALTHCHECK NONE takes no", "arguments are counted when instructions are made"),
    ("after HEALTHCHECK CMD", "arguments are counted when instructions are made"),
    ("the type must be CMD or NONE", "values are checked when instructions are made"),
    ("RUN requires a command", "BuildKit starts a shell with nothing to do"),
    ("heredoc cannot be the destination", "destinations are checked when instructions are made"),
    ("fields of --mount", "the parser only collects flags"),
    ("the name of the stage is missing", "arguments are counted when instructions are made"),
    ("FROM does not know the word", "arguments are counted when instructions are made"),
    ("the line continues nothing", "an instruction without a name is refused when instructions are made"),
    ("ONBUILD requires", "triggers are checked when instructions are made"),
    ("unknown instruction", "the parser ignores what it does not know"),
    ("name before = is missing", "names are checked when instructions are made"),
    ("bad substitution", "words are read when they are expanded"),
    ("unsupported modifier", "words are read when they are expanded"),
    ("unexpected end of statement", "words are read when they are expanded"),
    ("isn't allowed as an ONBUILD trigger", "triggers are checked when instructions are made"),
    ("chaining ONBUILD", "triggers are checked when instructions are made"),
    ("requires at least", "arguments are counted when instructions are made"),
    ("requires a type", "arguments are counted when instructions are made"),
    ("requires exactly one argument", "arguments are counted when instructions are made"),
    ("FROM requires", "arguments are counted when instructions are made"),
    ("invalid name for a build stage", "names are checked when instructions are made"),
    ("SHELL takes a JSON array", "forms are checked when instructions are made"),
    ("a path of VOLUME is empty", "values are checked when instructions are made"),
    ("unknown type", "values are checked when instructions are made"),
    ("is less than the least", "values are checked when instructions are made"),
    ("invalid duration", "values are checked when instructions are made"),
    ("invalid network mode", "values are checked when instructions are made"),
    ("invalid security mode", "values are checked when instructions are made"),
)
"""Why we refuse what the oracle accepts: part of our message, and the reason."""


def theirs(text):
    try:
        return dockerfile.parse_string(text.decode("utf-8", "surrogateescape"))
    except dockerfile.GoParseError as error:
        return error


def ours(text):
    try:
        return parse(text, "Buildfile")
    except BuildFileError as error:
        return error


@pytest.mark.parametrize("name", FILES)
def test_our_tree_is_that_of_the_official_parser(name):
    text = FILES[name]
    expected, found = theirs(text), ours(text)
    if name in NEWER:
        assert not isinstance(found, BuildFileError)
        return
    if isinstance(expected, Exception):
        assert isinstance(found, BuildFileError), f"they refuse: {expected}"
        return
    if isinstance(found, BuildFileError):
        for error in (found, *found.others):
            assert any(part in error.message for part, _ in LATER), f"only we refuse: {error.message}"
        return
    assert [line.cmd.upper() for line in expected] == [official.keyword(line) for line in found.instructions]
    for their, our in zip(expected, found.instructions, strict=True):
        compare(their, our, found.lines)


def compare(their, our, lines):
    where = f"line {their.start_line}: {their.original!r}"
    keyword = official.keyword(our)
    inner = our.instruction if isinstance(our, Onbuild) else our
    if inner is None:
        return  # only their second stage takes triggers apart, where they are carried out
    keyword = official.keyword(inner)
    if isinstance(our, Onbuild):
        assert their.sub_cmd.upper() == keyword, where
        if any("`" in line for line in lines):
            return  # triggers are parsed once more, by themselves and with a backslash, which their parser leaves to others
    elif not (keyword == "HEALTHCHECK" and inner.command is None):  # whose flags nobody looks at
        assert official.same_flags(their.flags, keyword) == official.flags(our), where
    is_json, values = official.values(inner)
    expected = list(their.value)
    if is_json is not None and expected:
        assert their.json == is_json, where
    if keyword in ("COPY", "ADD") and inner.heredocs:
        expected = [value for value in expected if opening(value) is None]
    if keyword == "FROM" and len(expected) == 3:
        expected = [expected[0], "as", expected[2].lower()]
    if keyword == "HEALTHCHECK":
        expected[0] = expected[0].upper()
    if keyword == "VOLUME":
        expected = [value.strip() for value in expected]
    assert expected == list(values), where
    compare_lines(their, our.span, lines)
    if isinstance(our, Onbuild):
        return  # the package looks for the here-documents of a trigger in the wrong node
    bodies = [
        (doc.name, chomp, re.sub("(?m)^\t+", "", doc.content) if chomp else doc.content)
        for doc, (_, chomp, _) in zip(their.heredocs, official.heredocs(our), strict=True)
    ]
    assert bodies == official.heredocs(our), where


def compare_lines(their, span, lines):
    """They count the lines that a continuation leads through, we count those that something stands on."""
    assert their.start_line <= span.line <= span.end_line <= their.end_line
    for number in (
        *range(their.start_line, span.line),
        *range(span.end_line + 1, their.end_line + 1),
    ):
        text = lines[number - 1].strip()
        assert not text or text.startswith("#") or text in ("\\", "`"), f"line {number} belongs to it"


def test_the_corpus_is_large():
    assert len(list((TESTS / "corpus").glob("*.Buildfile"))) >= 100
    assert sum(isinstance(ours(text), BuildFileError) for text in FILES.values()) < len(FILES) // 5
