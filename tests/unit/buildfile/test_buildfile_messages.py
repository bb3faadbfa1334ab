"""The messages of all mistakes that a build file can have, letter by letter.

`UPDATE_GOLDEN=1 pytest tests/unit/buildfile/test_buildfile_messages.py` writes them anew; read what changed.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

from builder.cli.main import main

ROOT = Path(__file__).parent.parent.parent.parent
GOLDEN = ROOT / "tests" / "golden" / "errors"
CASES = sorted(path.stem for path in GOLDEN.glob("*.Buildfile"))


@pytest.mark.parametrize("name", CASES)
def test_message(name, tmp_path, monkeypatch, capsys):
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / name).write_bytes((GOLDEN / f"{name}.Buildfile").read_bytes())
    monkeypatch.setenv("PYBUILD_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path / "context")
    update = os.environ.get("UPDATE_GOLDEN")
    status = main(["build", "--progress", "plain", "-f", name, "."])
    shown = capsys.readouterr()
    assert status == 2, shown
    path = GOLDEN / f"{name}.txt"
    if update:
        path.write_text(shown.err, "utf-8", "surrogateescape")
    assert shown.err == path.read_bytes().decode("utf-8", "surrogateescape")
    assert shown.out == ""


def test_no_message_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


RAISING = {
    "error",
    "rest_error",
    "flag_error",
    "bad",
    "mistake",
    "_mistake",
    "BuildFileError",
    "WordError",
    "ExpandError",
}
RAISING |= {"_bad", "NotStringsError", "_needs", "_one_word"}

NOT_IN_A_BUILD_FILE = {
    "a trigger is one instruction, not .*": "an image whose trigger is damaged",
    "the base has a trigger that does not parse.*": "an image whose trigger is damaged",
    ".* is not allowed as a trigger of the base": "an image whose trigger is damaged",
    "in a trigger of the base: .*": "goes in front of messages that are here",
    "unsupported value --.*=.*": "the parser finds it before",
    "files of stage .* are not there yet": "found as a stage that comes later",
    "COPY takes no --checksum": "the parser finds it before",
    "SHELL needs at least one word": "the parser finds it before",
    "no such stage": "found by its number",
}
"""Messages that no build file alone can lead to, and why."""


def sites():
    """Each message of the packages that read build files, as a pattern: what is filled in may be anything."""
    for package in ("buildfile", "graph"):
        for path in sorted((ROOT / "builder" / package).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = (
                        node.func.attr
                        if isinstance(node.func, ast.Attribute)
                        else getattr(node.func, "id", "")
                    )
                    text = next((pattern for arg in node.args if (pattern := as_pattern(arg))), None)
                    if name in RAISING and text is not None:
                        yield f"{path.name}:{node.lineno}", text


def as_pattern(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (as_pattern(part) or ".*" for part in node.values)
        return "".join(parts)
    if isinstance(node, ast.IfExp):
        return f"(?:{as_pattern(node.body)}|{as_pattern(node.orelse)})"
    return None


SHOWN = "\n".join(path.read_text("utf-8", "surrogateescape") for path in sorted(GOLDEN.glob("*.txt")))


@pytest.mark.parametrize(("place", "pattern"), list(sites()))
def test_every_message_has_a_case(place, pattern):
    if any(re.fullmatch(known, pattern.replace("\\", "")) for known in NOT_IN_A_BUILD_FILE):
        return
    assert re.search(pattern, SHOWN), f"{place}: no case shows {pattern!r}"
