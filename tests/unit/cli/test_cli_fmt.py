"""`pybuild fmt`."""

import io
import os

import pytest

from builder.cli.main import main

UGLY, NICE = "from a\nrun x  \n", "FROM a\nRUN x\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_are_changed_in_place_and_named(here, capsys):
    (here / "one").write_text(UGLY)
    (here / "two").write_text(NICE)
    os.chmod(here / "one", 0o640)
    os.symlink("one", here / "link")
    assert main(["fmt", "link", "two"]) == 0
    assert capsys.readouterr().out == "link\n"
    assert (here / "one").read_text() == NICE
    assert (here / "link").is_symlink()
    assert (here / "one").stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(here)) == ["link", "one", "two"]


def test_without_a_file_it_is_that_of_the_folder(here, capsys):
    (here / "Dockerfile").write_text(UGLY)
    assert main(["fmt"]) == 0
    assert (here / "Dockerfile").read_text() == NICE
    (here / "Dockerfile").unlink()
    assert main(["fmt"]) == 2
    assert "no build file in this folder" in capsys.readouterr().err


def test_check_lists_and_ends_with_3(here, capsys):
    (here / "one").write_text(UGLY)
    (here / "two").write_text(NICE)
    assert main(["fmt", "--check", "one", "two"]) == 3
    assert capsys.readouterr().out == "one\n"
    assert main(["fmt", "--check", "two"]) == 0
    assert (here / "one").read_text() == UGLY


def test_diff_shows_and_writes_nothing(here, capsys):
    (here / "one").write_text(UGLY)
    assert main(["fmt", "--diff", "one"]) == 0
    assert (
        capsys.readouterr().out
        == "--- one\n+++ one (formatted)\n@@ -1,3 +1,3 @@\n-from a\n-run x  \n+FROM a\n+RUN x\n \n"
    )
    assert main(["fmt", "--diff", "--check", "one"]) == 3
    assert (here / "one").read_text() == UGLY


def test_standard_input_to_output(here, capsysbinary, monkeypatch):
    class Input(io.StringIO):
        buffer = io.BytesIO(UGLY.encode())

    monkeypatch.setattr("sys.stdin", Input())
    assert main(["fmt", "-"]) == 0
    assert capsysbinary.readouterr().out == NICE.encode()


def test_mistakes_of_all_files_are_told(here, capsys):
    (here / "one").write_text("RUNN\n")
    (here / "two").write_text("FROM a\nENV\n")
    (here / "three").write_text(UGLY)
    assert main(["fmt", "one", "two", "three"]) == 2
    shown = capsys.readouterr().err
    assert "one:1:1" in shown
    assert "two:2:1" in shown
    assert (here / "three").read_text() == NICE
    assert main(["fmt", "missing"]) == 2
    assert "cannot be read" in capsys.readouterr().err
