"""Advice on builds: each kind is found where it is due, with what is at stake, and is silent where all is well."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from builder.core.changes import Waste, waste
from tests.conftest import Run


@pytest.fixture
def advice(pybuild: Run):  # type: ignore[no-untyped-def]
    def found(*words: str) -> dict[str, dict[str, object]]:
        document = json.loads(pybuild("report", "--advice", "--format", "json", *words).stdout)
        assert document["schema"] == 1
        return {one["kind"]: one for one in document["advice"]} | {"notes": document["notes"]}

    return found


def test_a_copy_that_should_be_split(pybuild: Run, context: Path, advice) -> None:  # type: ignore[no-untyped-def]
    (context / "Buildfile").write_text(
        "FROM base\nCOPY src/ /src/\nRUN sleep 0.1; say made > /made\nCOPY other /other\nRUN say > /x\n"
    )
    (context / "src").mkdir()
    (context / "src" / "big").write_text("x" * 50_000)
    (context / "other").write_text("o")
    for number in range(4):
        (context / "src" / "version.txt").write_text(str(number))
        pybuild("build", context)
    one = advice()["split-copy"]
    assert one["line"] == 2 and one["bytes"] == 50_001 and one["seconds"] >= 0.3
    assert one["found"] == (
        "missed 3 times for src/version.txt, and RUN sleep 0.1; say made > /made, RUN say > /x ran again for nothing else"
    )
    assert (
        one["todo"]
        == "copy src/version.txt below the steps that do not need it, and leave the rest of this COPY above"
    )
    text = pybuild("report", "--advice").stdout
    assert "split-copy: line 2: [2/5] COPY src/ /src/\n  missed 3 times for src/version.txt" in text
    assert re.search(r"at stake: \S+s, 50\.0 kB\n", text)


def test_a_copy_that_should_be_moved(pybuild: Run, context: Path, advice) -> None:  # type: ignore[no-untyped-def]
    (context / "Buildfile").write_text("FROM base\nCOPY version.txt /\nRUN sleep 0.1; say made > /made\n")
    for number in range(3):
        (context / "version.txt").write_text(str(number))
        pybuild("build", context)
    found = advice()
    assert found["move-copy"]["todo"] == "copy version.txt below the steps that do not need it"
    assert "split-copy" not in found


def test_an_argument_that_comes_too_early(pybuild: Run, context: Path, advice) -> None:  # type: ignore[no-untyped-def]
    (context / "Buildfile").write_text(
        "FROM base\nARG VERSION=0\nRUN sleep 0.1; say installed > /installed\nRUN say $VERSION > /version\nRUN say ${VERSIONS}x > /y\n"
    )
    for number in range(3):
        pybuild("build", "--build-arg", f"VERSION={number}", context)
    document = json.loads(pybuild("report", "--advice", "--format", "json").stdout)
    early = [one for one in document["advice"] if one["kind"] == "early-arg"]
    # The second RUN names it; the third does not, though a longer name looks like it, but the second must stay above that.
    (first,) = early
    assert first["line"] == 3
    assert first["found"] == (
        "missed 2 times because ARG VERSION changed, which its command does not name: RUN sleep 0.1; say installed > /installed"
    )
    assert first["todo"] == "put ARG VERSION below this step" and first["seconds"] >= 0.2
    assert 0 < first["bytes"] < 100


def test_no_step_is_advised_to_do_without_what_it_needs(pybuild: Run, context: Path, advice) -> None:  # type: ignore[no-untyped-def]
    """Of an ARG, where a stage below takes what was made with it; of a file, where a command names it; and nothing about lines
    that are gone.
    """
    text = (
        "FROM base AS made\nARG VERSION=0\nRUN say $VERSION > /version\nFROM made\nRUN sleep 0.1; say more > /more\n"
        "COPY src /src\nRUN sleep 0.1; cat /src/version.txt > /own\nRUN sleep 0.1; say last > /last\n"
    )
    (context / "Buildfile").write_text(text)
    (context / "src").mkdir()
    (context / "src" / "version.txt").write_text("none")
    for number in range(3):
        pybuild("build", "--build-arg", f"VERSION={number}", context)
    assert advice() == {"notes": []}
    (context / "src" / "big").write_text("x" * 50_000)
    for number in range(4):
        (context / "src" / "version.txt").write_text(str(number))
        pybuild("build", context)
    assert advice() == {"notes": []}
    (context / "Buildfile").write_text(text.replace("/src/version.txt", "/src/*"))
    for number in range(4, 7):
        (context / "src" / "version.txt").write_text(str(number))
        pybuild("build", context)
    assert advice()["split-copy"]["line"] == 6
    (context / "Buildfile").write_text(text.replace("COPY src /src", "COPY src/version.txt /src/"))
    pybuild("build", context)
    assert advice().keys() == {"unused-files", "notes"}


def test_what_replaces_files_of_the_base_is_no_waste(pybuild: Run, context: Path, advice) -> None:  # type: ignore[no-untyped-def]
    """Whoever installs packages replaces the list of those that are there."""
    (context / "Buildfile").write_text(
        "FROM base\nRUN (cat /bin/busybox; say x) > /new && chmod 755 /new && mv /new /bin/busybox\n"
    )
    pybuild("build", context)
    assert advice() == {"notes": []}


def test_bytes_that_an_image_carries_for_nothing(pybuild: Run, context: Path, advice) -> None:  # type: ignore[no-untyped-def]
    (context / "Buildfile").write_text(
        "FROM base\nCOPY app /app\nRUN chown -R 1000:1000 /app/owned\nRUN rm -r /app/junk /app/one && say x > /app/replaced\n"
        "RUN true\n"
    )
    for name, size in (
        ("owned/a", 30_000),
        ("owned/b", 20_000),
        ("junk/c", 40_000),
        ("junk/d/e", 1_000),
        ("one", 15_000),
        ("replaced", 12_000),
    ):
        (context / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (context / "app" / name).write_bytes(os.urandom(size))
    pybuild("build", context)
    found = advice()
    assert (found["copied-bytes"]["line"], found["copied-bytes"]["bytes"]) == (3, 50_000)
    assert found["copied-bytes"]["found"] == (
        "holds 2 files again of which only owner or mode changed, such as app/owned/a"
    )
    assert (found["removed-bytes"]["line"], found["removed-bytes"]["bytes"]) == (
        4,
        40_000 + 1_000 + 15_000 + 12_000,
    )
    assert "such as app/junk" in str(found["removed-bytes"]["found"])
    page = pybuild("report", "--advice", "--format", "html").stdout
    assert "What could be better" in page and "set owner and mode where the files come from" in page
    assert "What could be better" not in pybuild("report", "--format", "html").stdout
    # Done as advised, nothing is left to say.
    (context / "Buildfile").write_text("FROM base\nCOPY --chown=1000:1000 app/owned /app/owned\n")
    (context / ".dockerignore").write_text("app/junk\napp/one\napp/replaced\n")
    pybuild("build", context)
    assert advice() == {"notes": []}
    assert pybuild("report", "--advice").stdout == "build 2: nothing to improve was found\n"


def test_files_that_no_step_takes(pybuild: Run, context: Path, advice) -> None:  # type: ignore[no-untyped-def]
    (context / "Buildfile").write_text(
        "FROM base AS unneeded\nCOPY elsewhere /\nFROM base\nCOPY src/app *.cfg /app/\nRUN --mount=type=bind,source=tools,target=/t ls /t\n"
    )
    sizes = {
        "src/app/a": 20_000,
        "src/doc/b": 60_000,
        "src/[x]*": 14_000,
        "x.cfg": 11_000,
        "tools/t": 30_000,
        "modules/a/b": 70_000,
        "modules/c": 5_000,
        "elsewhere": 13_000,
        "ignored/z": 90_000,
        "small": 9_999,
    }
    for name, size in sizes.items():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_bytes(b"x" * size)
    (context / ".dockerignore").write_text("ignored\n")
    pybuild("build", context)
    one = advice()["unused-files"]
    assert one["found"] == (
        "no step takes modules (75.0 kB), src/doc (60.0 kB), src/[x]* (14.0 kB), elsewhere (13.0 kB) of the context"
    )
    assert one["bytes"] == 75_000 + 60_000 + 14_000 + 13_000
    (context / "Buildfile").write_text("FROM base\nCOPY . /\n")
    pybuild("build", context)
    assert "unused-files" not in advice()
    # A context that is gone is told, and the rest is looked at all the same.
    context.rename(context.with_name("gone"))
    notes = advice()["notes"]
    assert len(notes) == 1 and "is no folder of this machine now" in notes[0]


def test_options_that_do_not_go_together(pybuild: Run) -> None:
    for words, message in ((["--trend"], "one by one"), (["--format", "junit"], "text, json or html")):
        done = pybuild("report", "--advice", *words, ok=False)
        assert done.returncode == 2 and message in done.stderr


def compare(upper: Path, lower: Path) -> Waste:
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (upper, lower)]
    try:
        return waste(*fds)
    finally:
        for fd in fds:
            os.close(fd)


def test_what_a_layer_has_of_those_below(tmp_path: Path) -> None:
    """The core by itself: new, equal, other and longer files, files in place of folders and folders in place of files, links."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for folder in (upper, lower):
        (folder / "d" / "deep").mkdir(parents=True)
    (upper / "new").write_text("n" * 100)
    (upper / "newdir").mkdir()
    (upper / "newdir" / "same").write_text("s")
    for name, above, below in (
        ("d/same", "s" * 70_000, "s" * 70_000),
        ("d/deep/same", "e" * 10, "e" * 10),
        ("other", "a" * 50, "b" * 50),
        ("longer", "a" * 500, "a" * 40),
        ("empty", "", ""),
    ):
        (upper / name).write_text(above)
        (lower / name).write_text(below)
    (lower / "was-folder" / "in").mkdir(parents=True)
    (lower / "was-folder" / "in" / "f").write_text("f" * 7)
    (upper / "was-folder").write_text("now a file")
    (lower / "was-file").write_text("f" * 9)
    (upper / "was-file").mkdir()
    (upper / "was-file" / "x").write_text("x")
    (lower / "link").symlink_to("other")
    (upper / "link").write_text("no link")
    (lower / "to-etc").symlink_to("/etc")
    (upper / "to-etc").mkdir()
    (upper / "to-etc" / "passwd").write_text("x")
    found = compare(upper, lower)
    assert (found.copied_files, found.copied_bytes, found.copied_path) == (3, 70_010, "d/same")
    assert (found.replaced_files, found.replaced_bytes) == (2, 90)
    assert (found.removed_bytes, found.removed_path) == (16, "was-file")
    assert compare(lower, lower).copied_files == 7
    nothing = compare(tmp_path / "upper" / "newdir", lower)
    assert nothing == Waste(0, 0, 0, 0, 0, 0, "", "")
