"""`pybuild context`: what each step takes, and which rule decides about a path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.cli.main import main

TEXT = """\
FROM scratch AS one
COPY src/*.py lib /one/
COPY --exclude=*.txt src /two/
COPY <<A <<B a /three/
hello
A
bye
B
FROM scratch
COPY --from=one /one /x
COPY --from=more q /q
COPY --from=example.org/app:1 /bin /bin
ADD a https://user:word@example.org/x.tar https://example.org/x.git#main /u/
COPY nosuch* keep.log /w/
COPY missing /z
COPY --parents src/./sub/c.py /p/
COPY node_modules /n
"""
WANTED = """\
./.containerignore: 3 rules

Dockerfile:2:1: [one 1/3] COPY src/*.py lib /one/
        4 B  lib/l
        2 B  src/a.py
  2 files, 1 folder, 6 B

Dockerfile:3:1: [one 2/3] COPY --exclude=*.txt src /two/
        2 B  src/a.py
        2 B  src/sub/c.py
  2 files, 2 folders, 4 B

Dockerfile:4:1: [one 3/3] COPY <<A <<B a /three/ (hello)
        6 B  A (a here-document)
        4 B  B (a here-document)
        2 B  a
  3 files, 12 B

Dockerfile:10:1: [stage-1 1/8] COPY --from=one /one /x
  from stage one: only a build knows

Dockerfile:11:1: [stage-1 2/8] COPY --from=more q /q, of the context more
        2 B  q
  1 file, 2 B

Dockerfile:12:1: [stage-1 3/8] COPY --from=example.org/app:1 /bin /bin
  from image example.org/app:1: only a build knows

Dockerfile:13:1: [stage-1 4/8] ADD a https://user:***@example.org/x.tar https://example.org/x.git#main /u/
        2 B  a
  1 file, 2 B
  from https://user:***@example.org/x.tar: only a build knows
  from https://example.org/x.git#main: only a build knows

Dockerfile:14:1: [stage-1 5/8] COPY nosuch* keep.log /w/
        2 B  keep.log
  1 file, 2 B

Dockerfile:15:1: [stage-1 6/8] COPY missing /z
  "missing" is not in the build context

Dockerfile:16:1: [stage-1 7/8] COPY --parents src/./sub/c.py /p/
        2 B  src/sub/c.py
  1 file, 2 B

Dockerfile:17:1: [stage-1 8/8] COPY node_modules /n
  "node_modules" is not in the build context
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    context = tmp_path / "context"
    for name, text in {
        "Dockerfile": TEXT,
        ".containerignore": "node_modules\n*.log\n!keep.log\n",
        "src/a.py": "1\n",
        "src/b.txt": "22\n",
        "src/sub/c.py": "3\n",
        "lib/l": "lib\n",
        "node_modules/x/y": "\n",
        "a": "a\n",
        "x.log": "x\n",
        "keep.log": "k\n",
    }.items():
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "q").write_text("q\n")
    monkeypatch.setenv("PYBUILD_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(context)
    return context


def test_what_each_step_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["context", "--build-context", "more=../more"]) == 0
    assert capsys.readouterr().out == WANTED


def test_which_rule_decides(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = ["node_modules/x/y", "x.log", "keep.log", "src", "B", "nosuch"]
    assert main(["context", ".", *paths]) == 0
    assert capsys.readouterr().out == (
        "node_modules/x/y is left out by ./.containerignore:1: node_modules\n"
        "x.log is left out by ./.containerignore:2: *.log\n"
        "keep.log is kept in by ./.containerignore:3: !keep.log\n"
        "  taken by [stage-1 5/8] COPY nosuch* keep.log /w/\n"
        "src is kept in: no rule matches it\n"
        "  taken by [one 2/3] COPY --exclude=*.txt src /two/\n"
        "B is kept in: no rule matches it (there is no such file)\n"
        "nosuch is kept in: no rule matches it (there is no such file)\n"
    )


def test_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["context", "--json", "--target", "one", ".", "x.log"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"][2] == {
        "title": "[one 3/3] COPY <<A <<B a /three/ (hello)",
        "file": "Dockerfile",
        "line": 4,
        "context": None,
        "bytes": 12,
        "error": None,
        "elsewhere": [],
        "entries": [
            {"kind": "here-document", "bytes": 6, "path": "A"},
            {"kind": "here-document", "bytes": 4, "path": "B"},
            {"kind": "f", "bytes": 2, "path": "a"},
        ],
    }
    assert len(found["steps"]) == 3
    assert found["paths"][0]["rule"] == {"file": "./.containerignore", "line": 2, "text": "*.log"}


def test_nothing_is_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\nWORKDIR /a\n")
    (folder / ".containerignore").unlink()
    assert main(["context"]) == 0
    assert capsys.readouterr().out == "no ignore file\n\nno step takes files\n"
