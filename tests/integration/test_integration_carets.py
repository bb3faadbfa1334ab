"""Errors of steps point at the very words, and say what was meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import builder
from builder.errors import BuilderError

CASES = {
    "an image that files are taken from": (
        "FROM scratch\nCOPY --chown=1 --from=127.0.0.1:9/x /a \\\n  /b\n",
        ("2:23: error: cannot connect to 127.0.0.1:9", "127.0.0.1:9/x", "check the name"),
    ),
    "an image that is mounted": (
        "FROM scratch\nRUN --mount=target=/x,from=127.0.0.1:9/x true\n",
        ("2:28: error: cannot connect to 127.0.0.1:9", "127.0.0.1:9/x", "check the name"),
    ),
    "a misspelt source": (
        "FROM scratch\nCOPY readme.md \\\n  src/mian.py /x/\n",
        ('3:3: error: "src/mian.py" is not in the build context', "src/mian.py", "did you mean src/main.py?"),
    ),
    "one below a slash": (
        "FROM scratch\nCOPY /src/mian.py /x\n",
        (
            '2:6: error: "/src/mian.py" is not in the build context',
            "/src/mian.py",
            "did you mean /src/main.py?",
        ),
    ),
    "a source of a stage": (
        "FROM scratch AS a\nCOPY readme.md /d/\nFROM scratch\nCOPY --from=a /d/radme.md /\n",
        ('4:15: error: "/d/radme.md" is not in the', "/d/radme.md", "did you mean /d/readme.md?"),
    ),
    "a source with parents": (
        "FROM scratch\nCOPY --parents src/mian.py /x/\n",
        ('2:16: error: "src/mian.py" is not in the', "src/mian.py", "did you mean src/main.py?"),
    ),
    "parents through a link": (
        "FROM scratch\nCOPY --parents link/main.py /x/\n",
        ('2:16: error: "link/main.py" leads through a link', "link/main.py", "write the path that the link"),
    ),
    "parents of nothing": (
        "FROM scratch\nCOPY --parents . /x/\n",
        ('2:15: error: "." names nothing for --parents', " . ", "write a name or a pattern"),
    ),
    "a link before the pivot point": (
        "FROM scratch\nCOPY --parents link/./main.py /x/\n",
        (
            '2:16: error: "link/./main.py" leads through a link',
            "link/./main.py",
            "write the path that the link",
        ),
    ),
    "parents of a folder that is not there": (
        "FROM scratch\nCOPY --parents scr/./*.py /x/\n",
        ('2:16: error: "scr/./*.py" is not in the', "scr/./*.py", "did you mean src?"),
    ),
    "all that parents takes is excluded": (
        "FROM scratch\nCOPY --parents --exclude=*.py --exclude=src/* src/main.py /x/\n",
        ('2:16: error: --exclude leaves nothing of "src/main.py"', "--exclude", "leave the source out"),
    ),
    "a pattern in a folder that is not there": (
        "FROM scratch\nCOPY scr/*.py /x/\n",
        ('2:6: error: "scr/*.py" is not in the build context', "scr/*.py", "did you mean src?"),
    ),
    "a pattern of --exclude": (
        "FROM scratch\nCOPY --exclude=a --exclude=![b src /x/\n",
        ("2:18: error: --exclude=![b cannot be understood", "--exclude=![b", "close every [ with a ]"),
    ),
    "a link to nothing": (
        "FROM scratch\nCOPY gone /x/\n",
        ('2:6: error: "gone" is a link that leads to nothing', "gone", ""),
    ),
    "a link to nothing that a pattern matches": (
        "FROM scratch\nCOPY g*e /x/\n",
        ('2:6: error: "gone", which "g*e" matches, is a link that leads to nothing', "g*e", ""),
    ),
    "a circle": (
        "FROM scratch\nCOPY circle/x /x/\n",
        ('2:6: error: "circle/x" leads in a circle', "circle/x", ""),
    ),
    "an ignored source": (
        "FROM scratch\nCOPY log.txt /x/\n",
        ('2:6: error: "log.txt" is not in the build context', "log.txt", "an ignore file leaves it out"),
    ),
    "a secret": (
        "FROM scratch\nRUN --mount=type=secret,id=pw,required true\n",
        ("2:25: error: the secret 'pw' was not given", "id=pw", "--secret id=pw,src=FILE"),
    ),
    "a network": (
        "FROM scratch\nRUN --network=host true\n",
        ("2:5: error: network.host is not allowed", "--network=host", "--allow network.host"),
    ),
    "an owner": (
        "FROM scratch\nCOPY --chown=bob readme.md /a\n",
        ("2:6: error: --chown=bob: there are no files below", "--chown=bob", "write numbers"),
    ),
    "a file in the way": (
        "FROM scratch\nCOPY readme.md /a\nCOPY src/main.py /a/\n",
        ('3:18: error: cannot copy "src/main.py" to /a/: the destination is not', "/a/", ""),
    ),
    "the source of a mount": (
        "FROM scratch\nRUN --mount=source=scr,target=/x true\n",
        ('2:20: error: "/scr" is not in the build context', "scr", "did you mean /src?"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_error_points_at_the_very_words(name: str, tmp_path: Path) -> None:
    text, (message, words, hint) = CASES[name]
    (tmp_path / "src").mkdir()
    for file in ("src/main.py", "readme.md", "log.txt"):
        (tmp_path / file).write_text(file)
    (tmp_path / "link").symlink_to("src")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / ".dockerignore").write_text("*.txt\n")
    (tmp_path / "Buildfile").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "builder", "build", "--progress", "plain", "."],
        cwd=tmp_path,
        env={**os.environ, "PYBUILD_STORE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    shown = done.stderr.splitlines()
    at = next(at for at, line in enumerate(shown) if line.startswith(f"Buildfile:{message}"))
    column = int(shown[at].split(":")[2])
    assert shown[at + 2] == "  " + " " * (column - 1) + "^" * len(words), shown[at:]
    assert shown[at + 1][column + 1 :].startswith(words)
    assert not hint or hint in shown[at + 3]


def test_a_base_in_capitals_names_the_stage_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "Buildfile").write_text("FROM scratch AS tools\nFROM Tools\nWORKDIR /a\n")
    done = subprocess.run(
        [sys.executable, "-m", "builder", "build", "--progress", "quiet", "."],
        cwd=tmp_path,
        env={**os.environ, "PYBUILD_STORE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Buildfile:2:6: error: not an image name: 'Tools'" in done.stderr
    assert "hint: stage names are written in small letters after FROM: tools" in done.stderr


def test_an_image_that_cannot_be_had_names_what_may_be_meant(tmp_path: Path) -> None:
    (tmp_path / "Buildfile").write_text("FROM scratch\nCOPY --from=127.0.0.1:9/tolls /a /b\n")
    with pytest.raises(BuilderError) as caught:
        builder.build(
            str(tmp_path),
            store=str(tmp_path / "store"),
            build_contexts={"127.0.0.1:9/tools": str(tmp_path)},
        )
    assert caught.value.hint == "did you mean 127.0.0.1:9/tools?"
