"""What the command answers to wrong usage, letter by letter: `tests/golden/usage.txt` is a transcript of a terminal.

`UPDATE_GOLDEN=1 pytest tests/unit/cli/test_cli_usage_messages.py` writes the answers anew; read what changed.
"""

from __future__ import annotations

import ast
import gzip
import io
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from builder.cli.main import main

ROOT = Path(__file__).parents[3]
TRANSCRIPT = ROOT / "tests" / "golden" / "usage.txt"
LINES = tuple(line for line in TRANSCRIPT.read_text().splitlines() if line.startswith("$ pybuild"))
FILES = {
    "app/Buildfile": "FROM scratch\nCOPY x /x\n",
    "app/x": "x\n",
    "check-key": "# check=skpi=all\nFROM scratch\n",
    "check-value": "# check=error=yes\nFROM scratch\n",
    "check-fails": "# check=error=true\nFROM scratch AS A\n",
    "ignored/Buildfile": "FROM scratch\nCOPY x /x\n",
    "ignored/.dockerignore": "[a\n",
    "epoch": "ARG SOURCE_DATE_EPOCH=soon\nFROM scratch\n",
    "nothing": "",
    "program": "MZ\0\0",
    "text": "FROM scratch\n",
    "text2": "FROM scratch\nCOPY x /x\n",
    "empty/.keep": "",
}


def answers(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "packed").write_bytes(gzip.compress(b"FROM scratch\n"))
    (folder / "link").mkdir()
    (folder / "link" / "Dockerfile").symlink_to("gone")
    monkeypatch.setenv("PYBUILD_STORE", str(folder / "store"))
    monkeypatch.setenv("BUILDKIT_PROGRESS", "quiet")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PATH", str(folder))  # no ShellCheck, no helpers of registries
    monkeypatch.chdir(folder)
    found = []
    for line in LINES:
        command, _, source = line.removeprefix("$ pybuild").partition(" < ")
        content = (folder / source).read_bytes() if source else b""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        status = main(shlex.split(command))
        shown = capsys.readouterr()
        answer = re.sub(
            "sha256:[0-9a-f]{64}", "sha256:…", f"{shown.out}{shown.err}".replace(str(folder), "/folder")
        )
        found.append(f"{line}\n{answer}[{status}]\n")
    return found


def test_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answers(tmp_path, monkeypatch, capsys)
    if os.environ.get("UPDATE_GOLDEN"):
        TRANSCRIPT.write_text("\n".join(found))
    assert TRANSCRIPT.read_text() == "\n".join(found)


RAISING = {"UsageError", "AddressError", "_bad", "_not_a_platform", "bad"}
MODULES = (
    *("cli/*.py", "lint/options.py", "remote/addresses.py", "image/reference.py", "image/platform.py"),
    *(
        "engine/inputs.py",
        "engine/elsewhere.py",
        "engine/conditions.py",
        "engine/deliver.py",
        "engine/taken.py",
    ),
    *("engine/explaining.py", "engine/planning.py"),
)
ELSEWHERE = {
    "an archive is not (read from|written to) a terminal": "test_integration_cli.py, which has a terminal",
    "a build file is not read from a terminal": "the same of fmt",
    "the build file on standard input is larger than .* MiB": "test_cli_odd_files.py",
    "--secret .* is larger than .* bytes": "test_cli_values.py",
    "the address has control characters": "no shell line shows them",
    "there is no standard input to read the build (file|context) from": "only the library is called without one",
    ".* is an archive, not a build file": "test_integration_remote.py, which has a server",
    ".* is neither an archive nor a build file: it is too long for one": "test_cli_odd_files.py",
    "there were only .* builds": "the command counts no builds backwards, only the library does",
}
"""Messages that a command line alone cannot lead to here, and which test shows them or why none does."""


def sites() -> list[tuple[str, str]]:
    """Each message of wrong usage, as a pattern: what is filled in may be anything."""
    found = []
    for module in MODULES:
        for path in sorted((ROOT / "builder").glob(module)):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                text = next((pattern for arg in node.args if (pattern := as_pattern(arg))), None)
                if name in RAISING and text is not None:
                    found.append((f"{path.name}:{node.lineno}", text))
    return found


def as_pattern(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(as_pattern(part) or ".*" for part in node.values)
    if isinstance(node, ast.IfExp):
        return f"(?:{as_pattern(node.body)}|{as_pattern(node.orelse)})"
    return None


SHOWN = TRANSCRIPT.read_text()


@pytest.mark.parametrize(("place", "pattern"), sites())
def test_every_message_is_there(place: str, pattern: str) -> None:
    if not any(re.fullmatch(known, pattern.replace("\\", "")) for known in ELSEWHERE):
        assert re.search(pattern, SHOWN), f"{place}: no line leads to {pattern!r}"
