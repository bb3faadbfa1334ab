"""Hard links among the sources of a COPY, when sources with equal names replace one another."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

import builder
from builder.engine.request import Output


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def build(context: Path, out: Path, *lines: str) -> Path:
    (context / "Buildfile").write_text("FROM scratch\n" + "".join(f"{line}\n" for line in lines))
    outputs = [Output("local", str(out))]
    builder.build(str(context), store=str(context.parent / "store"), outputs=outputs)
    return out


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# Links are kept within one source, and with --parents within what one word finds below one folder.
LINES = ("COPY src/* /flat/", "COPY --parents src/*/./* /flat/")


@pytest.mark.parametrize("line", LINES)
def test_a_link_to_a_copy_that_was_replaced(context: Path, out: Path, line: str) -> None:
    first = write(context / "src/d1/same", "A")
    write(context / "src/d2/same", "B")
    (context / "src/d3").mkdir()
    os.link(first, context / "src/d3/other")
    os.link(first, context / "src/d3/third")
    found = build(context, out, line) / "flat"
    assert {path.name: path.read_text() for path in found.iterdir()} == {
        "same": "B",
        "other": "A",
        "third": "A",
    }
    assert (found / "other").stat().st_ino == (found / "third").stat().st_ino
    assert (found / "same").stat().st_nlink == 1


@pytest.mark.parametrize("line", LINES)
def test_two_names_of_one_file_in_one_place(context: Path, out: Path, line: str) -> None:
    first = write(context / "src/d1/same", "A")
    (context / "src/d2").mkdir()
    os.link(first, context / "src/d2/same")
    os.link(first, context / "src/d2/too")
    found = build(context, out, line) / "flat"
    assert (found / "same").read_text() == "A"
    assert (found / "same").stat().st_ino == (found / "too").stat().st_ino


@pytest.mark.parametrize("line", LINES)
def test_one_name_of_several_is_replaced(context: Path, out: Path, line: str) -> None:
    first = write(context / "src/d1/same", "A")
    os.link(first, context / "src/d1/a")  # copied before "same", and stays
    write(context / "src/d2/same", "B")
    (context / "src/d3").mkdir()
    os.link(first, context / "src/d3/late")
    found = build(context, out, line) / "flat"
    assert {path.name: path.read_text() for path in found.iterdir()} == {"same": "B", "a": "A", "late": "A"}
    assert (found / "a").stat().st_ino != (found / "late").stat().st_ino


@pytest.mark.parametrize("line", LINES)
def test_many_replaced_copies_whose_numbers_are_given_anew(context: Path, out: Path, line: str) -> None:
    for number in range(40):
        file = write(context / f"src/d{number:02}/same", f"content {number}")
        os.link(file, context / f"src/d{number:02}/keep{number}")
        (context / f"src/e{number:02}").mkdir()
        os.link(file, context / f"src/e{number:02}/late{number}")
    found = build(context, out, line) / "flat"
    for number in range(40):
        assert (found / f"keep{number}").read_text() == f"content {number}"
        assert (found / f"late{number}").read_text() == f"content {number}"
    assert (found / "same").read_text() == "content 39"


def test_an_archive_replaces_a_copy(context: Path, out: Path) -> None:
    first = write(context / "a/same", "A")
    (context / "z").mkdir()
    os.link(first, context / "z/late")
    with tarfile.open(context / "m.tar", "w") as tar:
        tar.add(write(context / "elsewhere", "from the archive"), "same")
    found = build(context, out, "ADD a m.tar z /flat/") / "flat"
    assert {path.name: path.read_text() for path in found.iterdir()} == {
        "same": "from the archive",
        "late": "A",
    }


def outcomes(context: Path, line: str) -> list[str]:
    (context / "Buildfile").write_text(f"FROM scratch\n{line}\n")
    found = builder.build(str(context), store=str(context.parent / "store"), outputs=[Output("cacheonly")])
    return [step.outcome.value for step in found.steps]


@pytest.mark.parametrize("line", ["COPY src /src", "COPY --parents src/x src/y /", "ADD . /all/"])
def test_that_files_become_links_or_cease_to_be_is_noticed(context: Path, line: str) -> None:
    one, other = write(context / "src/x/one", "same"), write(context / "src/y/other", "same")
    times = one.stat()
    for path in (one, other):
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert outcomes(context, line)[-1] == "miss"
    assert outcomes(context, line)[-1] == "hit"
    other.unlink()
    os.link(one, other)
    assert outcomes(context, line)[-1] == "miss"
    assert outcomes(context, line)[-1] == "hit"
    other.unlink()
    write(other, "same")
    assert outcomes(context, line)[-1] == "hit"  # what it was at first
    os.link(one, context.parent / "outside")  # a name that no step takes
    assert outcomes(context, line)[-1] == "hit"


def test_no_link_leads_from_what_one_word_finds_to_what_another_does(context: Path, out: Path) -> None:
    """Also where the first word has looked into folders in which nothing was."""
    last = write(context / "t3/f", "A")
    write(context / "t1/e", "B")
    (context / "t2").mkdir()
    os.link(last, context / "z")
    found = build(context, out, "COPY --parents t*/./* z /flat/") / "flat"
    assert sorted(path.name for path in found.iterdir()) == ["e", "f", "z"]
    assert [(found / name).stat().st_nlink for name in ("f", "z")] == [1, 1]
