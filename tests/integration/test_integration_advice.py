"""Builds tell what the checks of the build file find, each time, and fail where the file asks for it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from conftest import Run

TEXT = "FROM scratch as a\nENV A b\nCOPY --chown=$NONE ignored /x/\n"


def test_warnings_of_a_build_are_told_again_when_it_is_cached(
    pybuild: Run, context: Path, store: Path, tmp_path: Path
) -> None:
    (context / "Buildfile").write_text(TEXT)
    (context / "ignored").write_text("")
    (context / ".dockerignore").write_text("other\n")
    told = []
    for _ in range(3):
        done = pybuild("build", "--report", tmp_path / "report.json", context)
        told.append([line for line in done.stderr.splitlines() if line.startswith("WARNING")])
        with sqlite3.connect(store / "pybuild.db") as database:  # the third finds nothing that it can read
            if len(told) == 2:
                database.execute("UPDATE parsed SET tree = '[[[1]],\"\"]' WHERE tree LIKE '[[[\"%'")
    name = f"{context}/Buildfile"
    assert told[0] == [
        f"WARNING: {name}:1: FromAsCasing: 'as' and 'FROM' keywords' casing do not match",
        f'WARNING: {name}:2: LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format',
        f"WARNING: {name}:3: UndefinedVar: Usage of undefined variable '$NONE'",
    ]
    assert told[1] == told[2] == told[0]
    warnings = json.loads((tmp_path / "report.json").read_text())["warnings"]
    assert [warning["place"] for warning in warnings] == [f"{name}:{line}" for line in (1, 2, 3)]


def test_a_change_of_ignore_rules_or_arguments_changes_what_is_told(pybuild: Run, context: Path) -> None:
    (context / "Buildfile").write_text("FROM scratch\nARG TOKEN=1\nCOPY f /\n")
    (context / "f").write_text("")
    assert "CopyIgnoredFile" not in pybuild("build", context).stderr
    (context / ".dockerignore").write_text("f\n")
    assert 'CopyIgnoredFile: Attempting to Copy file "f"' in pybuild("build", context, ok=False).stderr
    (context / ".dockerignore").unlink()
    option = "BUILDKIT_DOCKERFILE_CHECK=skip=SecretsUsedInArgOrEnv"
    assert "SecretsUsedInArgOrEnv" not in pybuild("build", "--build-arg", option, context).stderr
    assert "SecretsUsedInArgOrEnv" in pybuild("build", context).stderr


def test_a_file_may_ask_to_fail(pybuild: Run, context: Path) -> None:
    (context / "Buildfile").write_text("# check=error=true\n" + TEXT)
    done = pybuild("build", context, ok=False)
    assert done.returncode == 2
    assert "lint violation found for rules: FromAsCasing, LegacyKeyValueFormat, UndefinedVar" in done.stderr
    assert "] COPY" not in done.stderr


def test_what_the_parser_wonders_about_is_told_by_a_build(pybuild: Run, context: Path) -> None:
    lines = "# \0\nLABEL a=b \\\n\n c=d\nSTOPSIGNAL --x 9\nENV A = b\nONBUILD RUNN x\n"
    (context / "Buildfile").write_text(f"FROM scratch AS unused\nENV A=${{\nFROM scratch\n{lines}")
    done = pybuild("build", context)
    told = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    name = f"WARNING: {context}/Buildfile"
    assert told[:5] == [
        f"{name}:4: the line has a NUL character",
        f"{name}:8: STOPSIGNAL has no flags: --x is ignored",
        f"{name}:9: the value of A begins with =: write NAME=VALUE without blanks",
        f"{name}:2: bad substitution: ${{ needs the name of a variable (this stage is not built)",
        f"{name}:10: unknown instruction: RUNN (a build that runs this trigger will fail)",
    ]
    assert all("NoEmptyContinuation" in line or "LegacyKeyValueFormat" in line for line in told[5:])
