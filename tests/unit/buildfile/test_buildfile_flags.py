"""Flags and JSON arrays."""

import pytest
from reading import errors, file, line, message, texts

from builder.buildfile.jsonform import NotStringsError, parse_array
from builder.buildfile.syntax import ExecForm, ShellForm


def test_flags_stand_behind_the_keyword_only():
    found = line("COPY x --from=b y/")
    assert found.from_ is None
    assert texts(found.sources) == ["x", "--from=b"]
    assert line("RUN echo --network=none").network is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN -- echo hi", "echo hi"),
        ("RUN --network=none -- echo", "echo"),
        ("RUN -- --network=none", "--network=none"),
        ("RUN - x", "- x"),
        ("RUN -x --y", "-x --y"),
        ("RUN --\techo", "echo"),
        ('RUN --"" echo', "echo"),
    ],
)
def test_two_dashes_end_them(text, expected):
    assert line(text).command.text == expected


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--from=a:b", "a:b"),
        ("--from='a:b'", "a:b"),
        ('--from="a:b"', "a:b"),
        ("'--from=a'", None),
        ("--'from=a'", "a"),
        ('--fr"om=a b"c', "a bc"),
        ("--from=a\\ b", "a b"),
        ('--from="a\\"b"', 'a"b'),
        ("--from='a\\'b'", "a'b"),
        ("--from=", ""),
        ("--from==a", "=a"),
    ],
)
def test_flags_may_be_quoted(flag, expected):
    found = line(f"COPY {flag} a b/")
    assert found.from_ == expected


def test_flags_over_lines():
    found = line("COPY --from=x \\\n  --chown=1 \\\n# c\n  a b")
    assert (found.from_, found.chown.text) == ("x", "1")


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("", False),
        ("--link", True),
        ("--link=true", True),
        ("--link=TRUE", True),
        ("--link=false", False),
        ("--link=False", False),
    ],
)
def test_booleans(text, link):
    assert line(f"COPY {text} a b").link is link


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("COPY --link= a b", "missing a value on flag --link"),
        ("COPY --link=1 a b", "--link is true or false, not '1'"),
        ("COPY --link --link a b", "duplicate flag --link"),
        ("COPY --from=a --from=b a b", "duplicate flag --from"),
        ("COPY --from a b", "missing a value on flag --from"),
        (
            "COPY --from=a b",
            "COPY requires at least two arguments, but only one was given: the destination is missing",
        ),
        ("COPY --form=a b c", "unknown flag --form for COPY"),
        ("COPY --chown='a b c", "the quote is never closed"),
        ("CMD --port 80", "unknown flag --port for CMD"),
        ("ENTRYPOINT --port 80", "unknown flag --port for ENTRYPOINT"),
        ("LABEL --port a=b", "unknown flag --port for LABEL"),
        ("RUN --Mount=type=tmpfs x", "unknown flag --Mount for RUN"),
    ],
)
def test_mistakes(text, expected):
    assert message(text) == expected


def test_lists_may_repeat():
    assert line("COPY --exclude=a --exclude=b c d").exclude == ("a", "b")


@pytest.mark.parametrize("text", ["ARG --x A", "STOPSIGNAL --x 9", "HEALTHCHECK --interval=1s NONE"])
def test_flags_that_are_never_looked_at(text):
    found = file(f"FROM b\n{text}")
    ((warning, _),) = found.warnings
    assert "is ignored" in warning


def test_flags_are_escaped_as_the_file_says():
    found = file("# escape=`\nFROM b\nCOPY --chown=a\\b --from=`x a b\n").instructions[1]
    assert (found.chown.text, found.from_) == ("a\\b", "x")


def test_mount_fields():
    (mount,) = line("RUN --mount=type=bind,ro,target=/a,source= x").mounts
    assert [(key, word and word.text) for key, word in mount.fields] == [
        ("type", "bind"),
        ("ro", None),
        ("target", "/a"),
        ("source", ""),
    ]
    (mount,) = line("RUN --mount='type=bind,\"source=a,b\"' x").mounts
    assert [(key, word.text) for key, word in mount.fields] == [("type", "bind"), ("source", "a,b")]


# --- JSON ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a"]', ("a",)),
        ('[ "a" , "b" ]', ("a", "b")),
        ("[]", ()),
        ("[ ]", ()),
        ('["a\\"b\\\\c\\/d\\te\\u00e9"]', ('a"b\\c/d\tee\u0301'.replace("e\u0301", "é"),)),
        ('["\\ud83d\\ude00"]', ("😀",)),
        ('["\\ud800"]', ("\ufffd",)),
        ('["\\udcff"]', ("\ufffd",)),
        ("['a']", None),
        ('["a",]', None),
        ('["a"] x', None),
        ('["a"', None),
        ('["a\n"]', None),
        ('["a" "b"]', None),
        ("[NaN]", None),
        ("[-Infinity]", None),
        ("[1e999]", None),
        ("[01]", None),
        ('["\\x"]', None),
        ('x["a"]', None),
        ('{"a": 1}', None),
        ("[" * 60000, None),
    ],
)
def test_arrays(text, expected):
    assert parse_array(text) == expected


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ('["a", 1]', "1"),
        ("[null]", "null"),
        ('[["a"]]', '["a"]'),
        ("[true]", "true"),
        ("[-1.5e3]", "-1500.0"),
    ],
)
def test_arrays_of_something_else(text, item):
    with pytest.raises(NotStringsError) as caught:
        parse_array(text)
    assert caught.value.item == item


@pytest.mark.parametrize("keyword", ["RUN", "CMD", "ENTRYPOINT"])
def test_exec_and_shell_form(keyword):
    assert line(f'{keyword} ["a", "b c"]').command == ExecForm(("a", "b c"))
    for text in ("['a']", '["a",]', '["a"] x', "[ -e x ]"):
        assert line(f"{keyword} {text}").command == ShellForm(text)
    assert message(f'{keyword} ["a", 1]') == "a JSON array of a command or of paths holds strings only"


def test_an_empty_array_is_an_exec_form():
    assert line("CMD []").command == ExecForm(())


def test_arrays_of_paths():
    assert texts(line('COPY ["a b", "c d", "/e f/"]').sources) == ["a b", "c d"]


def test_a_fallback_splits_at_blanks():
    assert errors("COPY ['a b', 'c']")[0][3].startswith(
        "unexpected end of statement"
    )  # the words hold quotes
    found = line("VOLUME [/a, /b]")
    assert texts(found.paths) == ["[/a,", "/b]"]
    assert texts(line('VOLUME [" /a ", "/b c"]').paths) == ["/a", "/b c"]


def test_a_backslash_joins_no_words():
    assert texts(line("COPY a\\ b /z/").sources) == ["a\\", "b"]


def test_places_in_arrays():
    assert errors('COPY ["a", "b${", "/c/"]')[0][:3] == (1, 14, 2)
    assert errors('COPY ["a", "b\\"${", "/c/"]')[0][:3] == (1, 12, 7)
