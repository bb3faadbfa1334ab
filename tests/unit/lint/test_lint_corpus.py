"""Rules on many files: the conformance cases, and files made up of odd lines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conformance import parse_case
from hypothesis import given
from hypothesis import strategies as st

from builder.buildfile.parse import parse
from builder.buildfile.syntax import BuildFile
from builder.errors import BuilderError
from builder.lint.check import apply_rules, build_warnings
from builder.lint.options import CheckOptions, LintOptions
from builder.lint.places import Source, escape_of
from builder.lint.rules import RULES
from builder.lint.walk import Facts

SUITE = Path(__file__).parents[2] / "conformance"
FILES = {}
for path in sorted((SUITE / "cases").glob("*.txtar")):
    case = parse_case(path)
    if case.buildfile in case.sections:
        FILES[path.stem] = case.sections[case.buildfile].encode("utf-8", "surrogateescape")


def check_all(file: BuildFile) -> None:
    facts = Facts(file, LintOptions())
    for finding in apply_rules(RULES, facts, CheckOptions(experimental_all=True)):
        span = finding.span
        assert 1 <= span.line <= span.end_line <= len(file.lines), finding
        assert 1 <= span.column <= len(file.lines[span.line - 1]) + 1, finding
        assert (span.line, span.column) < (span.end_line, span.end_column), finding
        assert 1 <= finding.lines[0] <= finding.lines[1] <= len(file.lines), finding
        assert finding.message and finding.description


@pytest.mark.parametrize("name", FILES)
def test_cases(name: str) -> None:
    try:
        file = parse(FILES[name], "Buildfile")
    except BuilderError:
        return
    check_all(file)
    for line in file.instructions:
        source = Source(file, line, escape_of(file))
        for offset, sign in enumerate(line.source):
            row, column = source.place(offset)
            assert file.lines[row - 1][column - 1] == sign, (line.source, offset)


LINES = (
    *(
        "FROM a AS b",
        "from $A as B",
        "FROM --platform=$B/$C b:${T:-x}",
        "FROM scratch",
        "ARG a=$b c",
        "ENV k $a",
    ),
    *(
        "ENV a=$b b=${c:?d} PASSWORD=1",
        "COPY --from=b $a /b ./",
        'ADD ["a", "$b", "/c/"]',
        "WORKDIR $a",
        "USER $a:0",
    ),
    *(
        "EXPOSE $a 1:2 3/TCP",
        "RUN cd a | sudo b && \\",
        "  apt-get update",
        "\\",
        "",
        "# check=skip=A;error=1",
        "#",
    ),
    *(
        "RUN <<E cat",
        "E",
        "RUN <<-'E'",
        "\tpip install a",
        "ONBUILD RUN apk add a",
        'SHELL ["/bin/bash", "-c"]',
    ),
    *(
        "CMD a",
        'CMD ["a"]',
        "HEALTHCHECK NONE",
        "# hadolint ignore=DL3008",
        "VOLUME $a",
        "LABEL a b",
        "MAINTAINER x",
    ),
    *(
        "RUN --mount=type=cache,target=$a,id=$b x",
        "STOPSIGNAL $a",
        "\ud83d\ude00",
        "COPY <<E /a",
        "$a",
        "onbuild copy $a b",
    ),
)


@given(st.lists(st.sampled_from(LINES), max_size=14))
def test_files_of_odd_lines(lines: list[str]) -> None:
    text = "\n".join(["FROM a", *lines]).encode("utf-8", "surrogatepass")
    try:
        file = parse(text, "F")
    except BuilderError:
        return
    check_all(file)


@pytest.mark.parametrize(
    "line",
    [
        "ARG A{0}=$B{0}",
        "ENV A{0}=$B{0}",
        "COPY $abcdefg{0} /",
        "RUN a \\\n\n b{0}",
        "FROM scratch AS s{0}\nCOPY --from=s{0} a /",
    ],
)
def test_time_grows_with_the_file(line: str) -> None:
    text = "FROM scratch\n" + "\n".join(line.format(number) for number in range(4000)) + "\n"
    file = parse(text.encode(), "F")
    begin = time.process_time()
    build_warnings(file)
    apply_rules(RULES, Facts(file, LintOptions()), CheckOptions())
    assert time.process_time() - begin < 40
