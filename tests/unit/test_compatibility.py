"""The table of `docs/compatibility.md`: every test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
PAGE = TESTS.parent / "docs" / "compatibility.md"
SUITES = {"cases": TESTS / "conformance", "more": TESTS / "conformance" / "more"}


def rows() -> list[tuple[str, str, str]]:
    """The rows of all tables: the fact, what we do, the tests."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and cells[0] not in ("fact", "---"):
            found.append((cells[0], cells[1], cells[2]))
    return found


@cache
def functions(path: Path) -> frozenset[str]:
    """The tests that pytest finds in a file."""
    assert path.name.startswith("test_"), path
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def exists(test: str) -> bool:
    """Whether a test of the table is one."""
    path, mark, name = test.partition("::")
    if mark:
        return name.startswith("test_") and (TESTS / path).is_file() and name in functions(TESTS / path)
    suite, _, case = test.partition("/")
    folder = SUITES.get(suite)
    return folder is not None and all(
        (folder / part).is_file() for part in (f"cases/{case}.txtar", f"expected/{case}.json")
    )


def test_every_test_that_the_table_names_is_there() -> None:
    missing = []
    for fact, _, tests in rows():
        named = re.findall(r"`([^`]+)`", tests)
        assert named, f"no test shows: {fact}"
        assert re.sub(r"`[^`]+`|, ", "", tests) == "", f"not a list of tests: {tests}"
        missing += [test for test in named if not exists(test)]
    assert not missing


def test_every_row_says_what_we_do() -> None:
    for fact, here, _ in rows():
        assert re.match(r"(same|otherwise: .+|same[,;:] .+)\Z", here), fact


def test_no_row_is_lost() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert len(rows()) == len(lines) - 2 * lines.count("| --- | --- | --- |") > 190
    facts = [fact for fact, _, _ in rows()]
    assert len(set(facts)) == len(facts)


@pytest.mark.parametrize(
    ("test", "there"),
    [
        ("cases/add-tar", True),
        ("more/add-tar", False),
        ("cases/nosuch", False),
        ("unit/test_compatibility.py::test_no_row_is_lost", True),
        ("unit/test_compatibility.py::rows", False),
        ("unit/test_compatibility.py::test_nosuch", False),
        ("unit/nosuch.py::test_x", False),
        ("docs", False),
    ],
)
def test_what_is_not_there_is_noticed(test: str, there: bool) -> None:
    assert exists(test) == there
