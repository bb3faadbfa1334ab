"""Start-up is part of the product: what is imported when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEADLINE

HEAVY = (
    "argparse",
    "asyncio",
    "lark",
    "rich",
    "urllib3",
    "http",
    "platformdirs",
    "isal",
    "zstandard",
    "tarfile",
)
HEAVY += (
    "ssl",
    "socket",
    "subprocess",
    "email",
    "hashlib_slow",
    "ipaddress",
    "csv",
    "difflib",
    "getpass",
    "xxhash",
)


def imported(*line: str, code: str = "") -> set[str]:
    """The modules that a command imports."""
    program = code or f"from builder.cli.main import main\nraise SystemExit(main({list(line)!r}))"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program], capture_output=True, text=True, timeout=DEADLINE
    )
    lines = [entry for entry in done.stderr.splitlines() if entry.startswith("import time:")]
    return {entry.rpartition("|")[2].strip() for entry in lines[1:]}


def heavy(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in HEAVY}


def test_the_version_needs_nothing() -> None:
    more = imported("--version") - imported(code="pass")
    assert more <= {"__future__", "builder", "builder.cli", "builder.cli.main", "typing"} | {
        name for name in more if name.startswith("encodings")
    }


@pytest.mark.parametrize("line", [["--help"], ["build", "--help"], ["run", "--help"], ["pull", "--help"]])
def test_help_needs_little(line: list[str]) -> None:
    modules = imported(*line)
    assert not heavy(modules)
    assert not {
        name for name in modules if name.startswith(("builder.core", "builder.store", "builder.report.tty"))
    }


def test_a_table_of_flags_needs_no_parser() -> None:
    assert not heavy(imported("build", "--nosuchflag=1", "--help"))


def test_plain_progress_needs_little() -> None:
    assert not heavy(imported(code="import builder.report.plain, builder.report.rawjson, builder.cli.build"))


def test_a_cached_build_needs_no_parser_and_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "a").write_text("x")
    (context / "Buildfile").write_text("FROM scratch\nCOPY a /a\nWORKDIR /w\n")
    monkeypatch.setenv("PYBUILD_STORE", str(tmp_path / "store"))
    line = ["build", "--progress", "plain", str(context)]
    imported(*line)
    modules = imported(*line)
    assert "builder.engine.build" in modules
    assert heavy(modules) <= {"socket"}
    assert "builder.buildfile.parse" not in modules
    # What takes a millisecond or more by itself, and those who bring it.
    costly = {
        "typing",
        "hashlib",
        "_hashlib",
        "datetime",
        "shutil",
        "tempfile",
        "random",
        "dataclasses",
        "inspect",
    }
    costly |= {
        "builder.engine.incremental",
        "builder.execute.run",
        "builder.execute.copy",
        "builder.sandbox.run",
    }
    assert modules & costly <= imported(code="pass")


def test_the_warnings_of_a_build_need_little() -> None:
    tree = (
        "from builder.buildfile.encode import decode, encode\n"
        "from builder.buildfile.syntax import *\n"
        "span = Span(1, 1, 1, 2)\n"
        "word = Word((Literal('a'),), 'a', span)\n"
        "lines = (From(word, 'a', None, 'FROM a AS a', span), Workdir(word, 'WORKDIR a', span))\n"
        "from builder.lint.check import build_warnings\n"
        "file = BuildFile('F', (), lines, (), ('FROM a AS a', 'WORKDIR a'))\n"
        "assert [item.rule for item in build_warnings(file).findings] == ['WorkdirRelativePath']\n"
    )
    modules = imported(code=tree)
    assert not heavy(modules)
    assert not modules & {
        "builder.lint.habits",
        "builder.lint.shell",
        "builder.lint.explain",
        "base64",
        "bisect",
    }
    assert "builder.buildfile.parse" not in modules


def test_explaining_a_build_needs_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Buildfile").write_text("FROM scratch\nWORKDIR /w\n")
    monkeypatch.setenv("PYBUILD_STORE", str(tmp_path / "store"))
    imported("build", "--progress", "plain", str(context))
    modules = imported("explain")
    assert "builder.report.explained" in modules
    assert not heavy(modules)
    unneeded = (
        "builder.buildfile",
        "builder.lint",
        "builder.execute",
        "builder.sandbox.run",
        "builder.engine.build",
    )
    assert not {name for name in modules if name.startswith(unneeded)}
