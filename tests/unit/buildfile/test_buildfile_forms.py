"""What each instruction takes, and what becomes of it."""

import pytest
from reading import errors, file, line, message, shape, texts

from builder.buildfile import syntax
from builder.buildfile.durations import parse_duration
from builder.buildfile.parse import parse_trigger
from builder.buildfile.syntax import ExecForm, ShellForm
from builder.errors import BuildFileError

SECOND = 10**9


def pairs(text):
    found = line(text)
    return [(pair.key.text, pair.value.text) for pair in found.pairs], found.legacy


@pytest.mark.parametrize("keyword", ["ENV", "LABEL"])
@pytest.mark.parametrize(
    ("text", "expected", "legacy"),
    [
        ("A=1", [("A", "1")], False),
        ("A=1 B=2", [("A", "1"), ("B", "2")], False),
        ("A=", [("A", "")], False),
        ("A=\"b c\" D='e f' G=h\\ i", [("A", '"b c"'), ("D", "'e f'"), ("G", "h\\ i")], False),
        ("A==", [("A", "=")], False),
        ('"a b"=c', [('"a b"', "c")], False),
        ("A=b\"c d\"'e f'g", [("A", "b\"c d\"'e f'g")], False),
        ("A='\\' B=c", [("A", "'\\'"), ("B", "c")], False),
        ('A="\\" b" C=d', [("A", '"\\" b"'), ("C", "d")], False),
        ("A 1", [("A", "1")], True),
        ("A B C=D", [("A", "B C=D")], True),
        ("A\t  b  c", [("A", "b  c")], True),
        ("A = b", [("A", "= b")], True),
        ('A "b c"', [("A", '"b c"')], True),
        ("A=b\u00a0C=d", [("A", "b"), ("C", "d")], False),
    ],
)
def test_pairs(keyword, text, expected, legacy):
    assert pairs(f"{keyword} {text}") == (expected, legacy)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments: A has no value"),
        ("ENV A=1 B", "= is missing in 'B': ENV takes name=value"),
        ("ENV =1", "the name before = is missing"),
        ("LABEL a=b =c", "the name before = is missing"),
    ],
)
def test_pairs_that_are_none(text, expected):
    assert message(text) == expected


def test_a_value_that_begins_with_an_equals_sign_is_warned_of():
    ((text, span),) = file("FROM b\nENV A = b\n").warnings
    assert "begins with =" in text
    assert (span.line, span.column) == (2, 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", [("A", None)]),
        ("A=1", [("A", "1")]),
        ("A= B", [("A", ""), ("B", None)]),
        ('a b=1 c="2 3" d=$b', [("a", None), ("b", "1"), ("c", '"2 3"'), ("d", "$b")]),
        ('"q"=1', [('"q"', "1")]),
    ],
)
def test_arg(text, expected):
    found = [(item.name, item.default and item.default.text) for item in line(f"ARG {text}").items]
    assert found == expected


@pytest.mark.parametrize(
    ("text", "image", "name", "platform"),
    [
        ("FROM a", "a", None, None),
        ("FROM a AS b", "a", "b", None),
        ("from a as B-1_.x", "a", "b-1_.x", None),
        ("FROM --platform=linux/arm64 a aS b", "a", "b", "linux/arm64"),
        ("FROM --platform=$X ${A:-b}", "${A:-b}", None, "$X"),
        ("FROM --platform= a", "a", None, None),
        ("FROM AS AS AS", "AS", "as", None),
    ],
)
def test_from(text, image, name, platform):
    found = file(text).instructions[0]
    assert (found.image.text, found.name, found.platform and found.platform.text) == (image, name, platform)


@pytest.mark.parametrize(
    "text",
    [
        "FROM",
        "FROM a b",
        "FROM a AS",
        "FROM a AS b c",
        "FROM a IS b",
        "FROM a AS 1a",
        "FROM a AS -",
        "FROM a AS a/b",
        "FROM a AS é",
    ],
)
def test_from_that_is_none(text):
    with pytest.raises(BuildFileError):
        file(text)


def test_expose_and_volume():
    assert texts(line("EXPOSE 80 443/udp $P 1-2").ports) == ["80", "443/udp", "$P", "1-2"]
    assert texts(line("VOLUME /a  /b").paths) == ["/a", "/b"]
    assert texts(line('VOLUME ["/a b"]').paths) == ["/a b"]
    assert message('VOLUME [""]') == "a path of VOLUME is empty"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("CMD true", ShellForm("true")),
        ("cmd  true", ShellForm("true")),
        ('CMD ["a", "b"]', ExecForm(("a", "b"))),
    ],
)
def test_healthcheck_commands(text, form):
    assert line(f"HEALTHCHECK {text}").command == form


def test_healthcheck_flags():
    found = line(
        "HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=0 --start-interval=2ms --retries=3 CMD x"
    )
    assert (found.interval, found.timeout, found.start_period) == (90 * SECOND, 3 * SECOND // 2, 0)
    assert (found.start_interval, found.retries) == (2 * 10**6, 3)
    assert line("HEALTHCHECK NONE").command is None
    assert line("HEALTHCHECK --retries= --interval= CMD x").retries == 0


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("HEALTHCHECK", "requires a type"),
        ("HEALTHCHECK NONE x", "takes no arguments"),
        ("HEALTHCHECK CMD", "is missing"),
        ("HEALTHCHECK CMD []", "is empty"),
        ("HEALTHCHECK x", "unknown type"),
        ("HEALTHCHECK --interval=1us CMD x", "less than the least"),
        ("HEALTHCHECK --interval=-1s CMD x", "less than the least"),
        ("HEALTHCHECK --interval=5 CMD x", "no duration"),
        (f"HEALTHCHECK --interval={'9' * 60000}h CMD x", "too long"),
        (f"HEALTHCHECK --interval={'1h' * 30000} CMD x", "duration"),
        ("HEALTHCHECK --retries=2147483648 CMD x", "--retries is a number"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries is a number"),
        (f"HEALTHCHECK --retries={'1' * 60000} CMD x", "--retries is a number"),
    ],
)
def test_healthcheck_that_is_none(text, part):
    if text.count("1h") == 30000:
        assert line(text).interval == 30000 * 3600 * SECOND
    else:
        assert part in message(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h", 3600 * SECOND),
        ("1h1m1s1ms1us1ns", 3661 * SECOND + 1001001),
        (".5s", SECOND // 2),
        ("1.s", SECOND),
        ("0", 0),
        ("-1s", -SECOND),
        ("+1s", SECOND),
        ("1µs", 1000),
        ("0.000000001s", 1),
        ("000000000000000000000001s", SECOND),
        ("1.99999999999999999999999999s", 2 * SECOND - 1),
    ],
)
def test_durations(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "s",
        ".s",
        "1x",
        "1s ",
        "1 s",
        "--1s",
        "+-1s",
        "9223372036854775807s",
        "3000000h",
        "1s1",
        "٣s",
        "1e3s",
    ],
)
def test_no_durations(text):
    with pytest.raises(ValueError, match=r"duration|too long"):
        parse_duration(text)


# --- ONBUILD ---


@pytest.mark.parametrize(
    ("text", "trigger", "kind"),
    [
        ("ONBUILD RUN a  b", "RUN a  b", syntax.Run),
        ("onbuild  run x", "run x", syntax.Run),
        ("ONBUILD COPY --from=x a b", "COPY --from=x a b", syntax.Copy),
        ("ONBUILD ENV A \\\n b", "ENV A  b", syntax.Env),
        ("ONBUILD HEALTHCHECK NONE", "HEALTHCHECK NONE", syntax.Healthcheck),
    ],
)
def test_triggers(text, trigger, kind):
    found = line(text)
    assert found.trigger == trigger
    assert isinstance(found.instruction, kind)
    assert type(parse_trigger(trigger)) is kind


@pytest.mark.parametrize("inner", ["ONBUILD RUN x", "FROM x", "MAINTAINER x", "onbuild RUN x"])
def test_triggers_that_are_not_allowed(inner):
    assert "allowed" in message(f"ONBUILD {inner}")


def test_mistakes_in_triggers_have_their_places():
    assert errors("ONBUILD \\\n  RUNN x") == [(2, 3, 4, "unknown instruction: RUNN")]
    assert errors("ONBUILD ENV A=1 \\\n   B=${") == [
        (2, 6, 2, "bad substitution: ${ needs the name of a variable")
    ]


def test_a_trigger_is_taken_apart_by_backslashes_and_its_words_are_escaped_as_the_file_says():
    found = file('# escape=`\nFROM b\nONBUILD ENV A=\\$x`$y B="a\\ b"\nONBUILD RUN dir c:\\\n').instructions
    assert shape(found[1].instruction.pairs[0].value.parts) == ["\\", ("x", ""), "$y"]
    assert shape(found[1].instruction.pairs[1].value.parts) == ["a\\ b"]
    assert found[2].trigger == "RUN dir c:\\"
    assert found[2].instruction.command.text == "dir c:"
    assert parse_trigger(found[2].trigger).command == found[2].instruction.command


# --- the rest ---


def test_one_word_takes_the_whole_line():
    assert line("WORKDIR /a b").path.text == "/a b"
    assert line("USER a  b").user.text == "a  b"
    assert line("STOPSIGNAL SIGTERM x").signal.text == "SIGTERM x"
    assert line("MAINTAINER A <a@b>").name == "A <a@b>"


def test_shell():
    assert line('SHELL ["/bin/sh", "-c"]').argv == ("/bin/sh", "-c")
    for text in ("SHELL", "SHELL []", "SHELL sh -c", "SHELL ['sh']"):
        assert message(text).startswith("SHELL")


@pytest.mark.parametrize(
    ("text", "hint"),
    [("RUNN x", "RUN"), ("FORM x", "FROM"), ("CPOY a b", "COPY"), ("runn", "RUN"), ("WORKDRI /", "WORKDIR")],
)
def test_unknown_instructions_suggest_the_nearest(text, hint):
    with pytest.raises(BuildFileError, match="unknown instruction") as caught:
        file(f"FROM b\n{text}\n")
    assert caught.value.hint == f"did you mean {hint}?"


@pytest.mark.parametrize("first", ["//syntax=example/other:1", '{"syntax": "example/other:1"}'])
def test_what_is_written_for_another_program_is_refused(first):
    with pytest.raises(BuildFileError, match="unknown instruction"):
        file(f"{first}\nFROM b\n")


def test_all_mistakes_of_a_file_come_in_order():
    found = errors("RUNN\nENV\nCOPY a\nUSER ${\n")
    assert [number for number, *_ in found] == [1, 2, 3, 4]


def test_several_sources_may_go_to_one_name():
    for destination in ("c", "c/", ".", "c/.", "$C", "c/$D"):
        assert len(line(f"COPY a b {destination}").sources) == 2


def test_a_name_of_arg_is_taken_as_it_is_written():
    quoted, computed = file('FROM b\nARG "a"=1 b$C=2').instructions[1].items
    assert (quoted.name, computed.name, computed.default.text) == ('"a"', "b$C", "2")


def test_blanks_at_the_end_of_a_trigger_stay():
    assert line("ONBUILD RUN  x \t").trigger == "RUN  x \t"
    assert line("ONBUILD RUN x  \\\n").trigger == "RUN x  "


@pytest.mark.parametrize(
    "text",
    [
        "NOSUCH x",
        "COPY x",
        "COPY --nosuch a b",
        "HEALTHCHECK x",
        "ENV",
        "ENV a=${b",
        "LABEL =b",
        "#x",
        "RUN --network=x y",
    ],
)
def test_a_trigger_is_kept_though_it_does_not_parse(text):
    found = file(f"FROM b\nONBUILD {text}\n")
    assert found.instructions[1].trigger == text
    assert [mistake.instruction for mistake in found.mistakes] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "ENV a",
        "ENV a=b c",
        "LABEL a",
        "CMD [1]",
        "HEALTHCHECK CMD [1]",
        "COPY [1]",
        "FROM x",
        "ONBUILD RUN x",
    ],
)
def test_a_trigger_has_one_of_the_forms_at_least(text):
    with pytest.raises(BuildFileError):
        file(f"FROM b\nONBUILD {text}\n")


def test_a_mistake_in_a_word_is_kept_for_the_time_when_it_counts():
    found = file("FROM b\nARG A=${ B=1\nENV C=${x\nCOPY <<EOF /x\n${\nEOF\n").mistakes
    assert [(one.instruction, one.argument, one.span.line) for one in found] == [
        (1, "A", 2),
        (2, "", 3),
        (3, "", 5),
    ]
