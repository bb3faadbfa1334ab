"""What leaves rules out: the check line, its build argument, comments above instructions, the caller."""

from __future__ import annotations

import pytest
from linting import short

from builder.buildfile.parse import parse
from builder.errors import BuildFileError, UsageError
from builder.lint.check import build_warnings, violation
from builder.lint.comments import Comments, shell_of
from builder.lint.options import CheckOptions, check_options, parse_check

TEXT = "FROM alpine:3 as base\ncopy a /a\n"


def rules(text: str, *only: str, **options: object) -> list[str]:
    return [item[0] for item in short(text, *only, **options)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", CheckOptions()),
        ("skip=all", CheckOptions(skip_all=True)),
        ("skip=A, B ;error=true", CheckOptions(skip=frozenset("AB"), error=True)),
        ("error=0", CheckOptions()),
        ("experimental=all", CheckOptions(experimental_all=True)),
        (
            "experimental=A;skip=B;error=1",
            CheckOptions(skip=frozenset("B"), experimental=frozenset("A"), error=True),
        ),
    ],
)
def test_what_a_check_line_says(text: str, wanted: CheckOptions) -> None:
    assert parse_check(text) == wanted


@pytest.mark.parametrize(
    ("head", "skipped"),
    [
        ("# check=skip=A", True),
        ("#check = skip=A,B", True),
        ("# check=skip=A ;skip=B error=x", True),
        ("# check=skip=B, A", False),  # BuildKit reads to the first blank
        ("#!/x\n# check=skip=A", True),
        ("# check=skip=A\n # escape=`", True),
        # Nor does it look behind blanks at the beginning of a line.
        (" # check=skip=A", False),
        ("\t# escape=`\n# check=skip=A", False),
    ],
)
def test_where_the_line_of_a_file_is_found(head: str, skipped: bool) -> None:
    file = parse(f"{head}\nFROM scratch\n".encode(), "Buildfile")
    assert ("A" in check_options(file, {}).skip) is skipped


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skip", "invalid check option 'skip'"),
        ("skpi=A", "invalid check option 'skpi'"),
        ("error=maybe", "invalid check option 'error=maybe'"),
        ("skip=A;error=1;skip=B;x=1", "invalid check option 'skip=B;x=1'"),
    ],
)
def test_what_no_check_line_says(text: str, message: str) -> None:
    if text.count(";") == 3:  # as with BuildKit, a fourth part belongs to the third
        assert parse_check(text).skip == frozenset({"B;x=1"})
        return
    with pytest.raises(UsageError) as caught:
        parse_check(text)
    assert caught.value.message == message


def test_a_check_line_that_cannot_be_read_is_an_error_at_its_place() -> None:
    with pytest.raises(BuildFileError) as caught:
        build_warnings(parse(b"# check=skpi=A\nFROM scratch\n", "F"))
    place = caught.value.location
    assert place is not None and (place.line, place.column) == (1, 1)
    assert caught.value.message == "the check directive cannot be read: invalid check option 'skpi'"


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        ("", ["FromAsCasing", "ConsistentInstructionCasing"]),
        ("#check=skip=all\n", []),
        ("# check=skip=FromAsCasing\n", ["ConsistentInstructionCasing"]),
        ("# check=skip=FromAsCasing,ConsistentInstructionCasing;error=true\n", []),
        ("# hadolint global ignore=FromAsCasing\n", ["ConsistentInstructionCasing"]),
        ("# hadolint ignore=FromAsCasing\n", ["ConsistentInstructionCasing"]),
        ("# hadolint ignore = DL3006 , FromAsCasing # text\n", ["ConsistentInstructionCasing"]),
        ("# hadolintignore=FromAsCasing\n", ["FromAsCasing", "ConsistentInstructionCasing"]),
        ("#\n# check=skip=FromAsCasing // text\n", ["ConsistentInstructionCasing"]),
        ("#\n# check=skip=FromAsCasing\n\n# more\n", ["ConsistentInstructionCasing"]),
        ("#\n# check=skip=FromAsCasing\n#\n", ["FromAsCasing", "ConsistentInstructionCasing"]),
        ("#\n# check=skip\n", ["FromAsCasing", "ConsistentInstructionCasing"]),
    ],
)
def test_what_the_file_leaves_out(head: str, wanted: list[str]) -> None:
    assert sorted(rules(head + TEXT)) == sorted(wanted)


def test_a_comment_is_for_its_instruction_only() -> None:
    text = "FROM alpine:3\n{}ENV a b\nENV c d\n"
    for comment in (
        "# check=skip=LegacyKeyValueFormat\n",
        "# check=skip=all\n",
        "# hadolint ignore=LegacyKeyValueFormat\n",
    ):
        assert [item[1] for item in short(text.format(comment))] == [4]
    assert [item[1] for item in short(text.format("RUN a \\\n# check=skip=all\n  b\n"))] == [5, 6]
    assert [item[1] for item in short(text.format("RUN <<E\n# check=skip=all\nE\n"))] == [5, 6]


def test_of_two_instructions_either_may_say_it() -> None:
    text = 'FROM alpine:3\n{}CMD ["a"]\n{}CMD ["b"]\n'
    skip = "# check=skip=MultipleInstructionsDisallowed\n"
    assert rules(text.format("", "")) == ["MultipleInstructionsDisallowed"]
    assert rules(text.format(skip, "")) == rules(text.format("", skip)) == []


def test_experimental_rules_are_asked_for() -> None:
    name = "InvalidDefinitionDescription"
    text = "# text\nARG a=1\nFROM alpine:3\n"
    assert rules(text) == []
    assert rules(f"# check=experimental={name}\n{text}") == [name]
    assert rules(f"# check=experimental=all;skip=all\n{text}") == [name]
    assert rules(f"# check=experimental=all\n# hadolint ignore={name}\n{text}") == [name]
    assert rules(text, name) == [name]
    assert rules("# check=experimental=all\n" + text, skip=frozenset({name})) == []


def test_the_build_argument_takes_the_place_of_the_line() -> None:
    argument = "BUILDKIT_DOCKERFILE_CHECK"
    head = "# check=skip=all\n"
    assert rules(head + TEXT, build_args={argument: "skip=FromAsCasing;error=true"}) == [
        "ConsistentInstructionCasing"
    ]
    assert rules(TEXT, build_args={argument: "skip=all"}) == []
    with pytest.raises(UsageError):
        rules(TEXT, build_args={argument: "x"})


def test_the_caller_chooses() -> None:
    assert rules(TEXT, skip=frozenset({"FromAsCasing"})) == ["ConsistentInstructionCasing"]
    assert rules(TEXT, "FromAsCasing") == ["FromAsCasing"]
    assert rules("# check=skip=all\n" + TEXT, "FromAsCasing") == ["FromAsCasing"]
    assert rules("# hadolint ignore=FromAsCasing\n" + TEXT, "FromAsCasing") == []
    assert rules("FROM alpine:3\nUSER me\n", "DL3066") == ["DL3066"]


def test_the_warnings_of_a_build() -> None:
    text = b"FROM alpine as base\nRUN cd /x\n"
    found = build_warnings(parse(text, "F"))
    assert [item.rule for item in found.findings] == ["FromAsCasing"]
    assert not found.fail
    assert violation(found.findings) == "lint violation found for rules: FromAsCasing"
    assert build_warnings(parse(b"# check=error=true\n" + text, "F")).fail
    assert not build_warnings(parse(b"# check=error=true\nFROM alpine\n", "F")).fail
    with_argument = build_warnings(parse(text, "F"), build_args={"BUILDKIT_DOCKERFILE_CHECK": "error=true"})
    assert with_argument.fail


@pytest.mark.parametrize(
    ("comments", "skips"),
    [
        ("# check=skip=FromAsCasing", True),
        ("# Check = skip=FromAsCasing and why", True),
        ("# check=\n# check=skip=FromAsCasing", True),  # one without a value says nothing
        ("# check=none\n# check=skip=FromAsCasing", False),  # the first one counts, even if it cannot be read
        ("# check=skip = FromAsCasing", False),  # a blank ends it
        ("# check=skip=FromAsCasing;else=x", False),
        ("# check=skip=A;error=false;skip=FromAsCasing", True),
        ("# check=error=false;error=false;error=false;skip=FromAsCasing", False),
        ("# checks=skip=FromAsCasing", False),
    ],
)
def test_odd_lines_above_an_instruction(comments: str, skips: bool) -> None:
    text = f"FROM scratch AS a\n{comments}\nFROM alpine:3 as base\n"
    assert rules(text) == ([] if skips else ["FromAsCasing"])


def test_comments_above() -> None:
    text = (
        "# syntax=x\n# one\n\n  #  two \nARG a=1\n# no\n#\nFROM scratch AS b\n# b of the b\n# c\nRUN x # y\n"
    )
    file = parse(text.encode(), "F")
    comments = Comments(file)
    assert [comments.above(line) for line in file.instructions] == [("one", "two"), (), ("b of the b", "c")]
    assert comments.description(file.instructions[2], "b") == "of the b"
    assert comments.description(file.instructions[2], "c") == ""
    assert comments.description(file.instructions[2], None) == ""


@pytest.mark.parametrize(
    ("text", "shell"),
    [
        ("hadolint shell=/bin/bash -c", "/bin/bash"),
        ("hadolint  shell = ksh", "ksh"),
        ("hadolint shell=", None),
        ("hadolint shellx=a", None),
        ("shell=a", None),
    ],
)
def test_the_shell_of_a_comment(text: str, shell: str | None) -> None:
    assert shell_of(("x", text)) == shell
