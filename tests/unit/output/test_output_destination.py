"""A file appears under its name in one go, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.core import files
from builder.errors import BuilderError, CoreError
from builder.output.destination import open_destination


def write(dest: Path, data: bytes) -> None:
    with open_destination(str(dest), None) as stream:
        stream.write(data)


@pytest.fixture(params=["exchange", "rename"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as it is here, once as on file systems that cannot exchange names."""

    def refuse(one: str, other: str) -> None:
        raise CoreError("exchange", 22, other, "it cannot")

    if request.param == "rename":
        monkeypatch.setattr(files, "exchange", refuse)


@pytest.mark.usefixtures("way")
def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    dest = tmp_path / "out"
    for data in (b"one", b"other", b"third"):
        write(dest, data)
        assert dest.read_bytes() == data
        assert os.listdir(tmp_path) == ["out"]


@pytest.mark.usefixtures("way")
def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"kept")
    dest = tmp_path / "out"
    dest.symlink_to("kept")
    write(dest, b"new")
    assert not dest.is_symlink() and dest.read_bytes() == b"new"
    assert (tmp_path / "kept").read_bytes() == b"kept"


@pytest.mark.usefixtures("way")
def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    dest = tmp_path / "out"
    dest.mkdir()
    with pytest.raises(BuilderError, match="directory"):
        write(dest, b"new")
    assert dest.is_dir() and os.listdir(tmp_path) == ["out"]


def test_what_fails_leaves_the_earlier_file(tmp_path: Path) -> None:
    dest = tmp_path / "out"
    write(dest, b"one")
    with pytest.raises(ZeroDivisionError), open_destination(str(dest), None) as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert dest.read_bytes() == b"one" and os.listdir(tmp_path) == ["out"]


def test_what_a_process_has_open_is_written_to(tmp_path: Path) -> None:
    """`/dev/stdout` is a link to it: replacing that would break it for all, and what is redirected would get nothing."""
    with (tmp_path / "redirected").open("wb") as stream:
        dest = tmp_path / "stdout"
        dest.symlink_to(f"/proc/self/fd/{stream.fileno()}")
        write(dest, b"new")
    assert dest.is_symlink() and (tmp_path / "redirected").read_bytes() == b"new"


@pytest.mark.usefixtures("way")
def test_links_that_lead_round_are_an_error_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(BuilderError, match="cannot write"):
        write(tmp_path / "one", b"new")
