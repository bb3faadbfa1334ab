"""ShellCheck's remarks and where they stand in the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from linting import marked

from builder.buildfile.parse import parse
from builder.lint.check import findings_of
from builder.lint.options import CheckOptions, LintOptions
from builder.lint.shellcheck import shell_hits
from builder.lint.walk import Facts

PROGRAM = shutil.which("shellcheck") or ""
needs_it = pytest.mark.skipif(not PROGRAM, reason="shellcheck is not installed")


def remarks(text: str, program: str = PROGRAM) -> list[tuple[str, int, str]]:
    facts = Facts(parse(text.encode("utf-8", "surrogateescape"), "F"), LintOptions())
    hits, notes = shell_hits(facts, program)
    assert notes == ()
    found = findings_of(hits, facts, CheckOptions())
    return [(item.rule, item.span.line, marked(text, item)) for item in found]


CASES = {
    "RUN echo $x": [("SC2086", 2, "$x"), ("SC2154", 2, "$x")],
    "ARG x\nRUN echo $x": [("SC2086", 3, "$x")],
    "ENV x=1\nRUN echo ${x}y": [("SC2086", 3, "${x}")],
    "RUN true && \\\n  # text\n\tcd /x": [("SC2164", 4, "cd /x")],
    "RUN --network=none   cd /x": [("SC2164", 2, "cd /x")],
    "ONBUILD RUN cd /x": [("SC2164", 2, "cd /x")],
    "RUN <<E\ntrue\n cd /x\nE": [("SC2164", 4, "cd /x")],
    "RUN <<-E\n\tif true; then\n\t\tcd /x\n\tfi\n\tE": [("SC2164", 4, "cd /x")],
    "RUN cat <<E > /a; cd /b\n`pwd`\nE": [("SC2164", 2, "cd /b"), ("SC2006", 3, "`pwd`")],
    "RUN [[ -f a ]] && echo ä; cd /x": [("SC3010", 2, "[[ -f a ]]"), ("SC2164", 2, "cd /x")],
    'SHELL ["/bin/bash", "-c"]\nRUN [[ -f a ]]': [],
    "RUN <<E\n#!/bin/bash\n[[ -f a ]]\nE": [],
    "RUN bash <<E\n[[ -f a ]]\nE": [],
    "RUN <<E\n#!/usr/bin/python3\nx = [1]\nE": [],
    'SHELL ["powershell"]\nRUN cd x': [],
    'RUN ["cd", "$x"]': [],
    "# hadolint ignore=SC2164\nRUN cd /x": [],
    "# check=skip=SC2164\nRUN cd /x": [],
    "RUN <<E\n# shellcheck disable=SC2164\ncd /x\nE": [],
    "# hadolint shell=bash\nRUN [[ -f a ]]\nRUN [[ -f b ]]": [],
    "RUN . /etc/profile": [],
    "ENV a.b=1 A=2\nRUN echo \"$A\"": [],
}  # fmt: skip


@needs_it
@pytest.mark.parametrize("lines", CASES)
def test_remarks(lines: str) -> None:
    assert remarks(f"FROM alpine:3\n{lines}\n") == CASES[lines]


@needs_it
def test_a_shell_for_the_whole_file() -> None:
    text = "# hadolint shell=bash\nFROM a:1\nRUN [[ -f a ]]\nFROM b:1\nRUN [[ -f a ]]\n"
    assert remarks(text) == []
    assert [item[:2] for item in remarks(text.replace("# hadolint shell=bash\n", ""))] == [
        ("SC3010", 2),
        ("SC3010", 4),
    ]


@needs_it
def test_text_that_is_no_shell() -> None:
    found = remarks("FROM a:1\nRUN echo 'a\nRUN echo \udcff `x`\n")
    assert {("SC1073", 2, "'"), ("SC2006", 3, "`x`")} <= set(found)


@needs_it
def test_one_process_for_many_lines(tmp_path: Path) -> None:
    counted = tmp_path / "shellcheck"
    counted.write_text(f'#!/bin/sh\necho >> {tmp_path}/calls\nexec {PROGRAM} "$@"\n')
    counted.chmod(0o755)
    text = "FROM a:1\n" + 'RUN cd /x\nSHELL ["/bin/bash", "-c"]\nRUN cd /x\n' * 20
    assert len(remarks(text, str(counted))) == 40
    assert (tmp_path / "calls").read_text() == "\n"


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("echo broken >&2; exit 3", "broken"),
        ("exit 3", "it ended with status 3"),
        ("echo '{}'", "it ended with status 0"),
        ("echo '[]'", "it ended with status 0"),
    ],
)
def test_a_shellcheck_that_does_not_work_is_told(tmp_path: Path, script: str, note: str) -> None:
    program = tmp_path / "shellcheck"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    facts = Facts(parse(b"FROM a:1\nRUN cd /x\n", "F"), LintOptions())
    assert shell_hits(facts, str(program)) == (
        [],
        (f"shellcheck did not check the shell text of RUN: {note}",),
    )
    hits, notes = shell_hits(facts, str(tmp_path / "missing"))
    assert hits == [] and "No such file" in notes[0]


def test_without_shell_text_nothing_is_started() -> None:
    facts = Facts(parse(b"FROM a:1\nUSER 1\n", "F"), LintOptions())
    assert shell_hits(facts, "/nonexistent") == ([], ())


@needs_it
def test_of_many_variables_those_of_the_script_are_known() -> None:
    many = "FROM a:1\n" + "\n".join(f"ENV name{number}=x" for number in range(100))
    used = 'RUN echo "$name7" "${name99:-x}" "$name7x"'
    assert [shown for rule, _, shown in remarks(f"{many}\n{used}") if rule == "SC2154"] == ["$name7x"]
