"""Layers that others made: what an image of several means, however its archives are written."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from images import LayerWriter, write_layout

import builder
from builder.engine.request import Output

FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
Entry = tuple[str, bytes, str]

LOWER: list[Entry] = [
    ("d", FOLDER, ""),
    ("d/old", FILE, "lower"),
    ("d/sub", FOLDER, ""),
    ("d/sub/old", FILE, "lower"),
    ("x", FILE, "lower"),
    ("etc", FOLDER, ""),
    ("way", LINK, "etc"),
]
BELOW = {
    "d/": "0755",
    "d/old": "lower",
    "d/sub/": "0755",
    "d/sub/old": "lower",
    "x": "lower",
    "etc/": "0755",
    "way": "-> etc",
}


def layer(entries: list[Entry], mode: int = 0o755) -> bytes:
    writer = LayerWriter()
    for name, kind, text in entries:
        linked = kind in (LINK, HARD)
        writer.add(name, kind, mode, b"" if linked else text.encode(), text if linked else "")
    return writer.finish()


def files_of(tmp_path: Path, *layers: bytes) -> dict[str, str]:
    """The files of an image of these layers: of folders their modes, of links where they lead."""
    layout, archive = tmp_path / "layout", tmp_path / "out.tar"
    write_layout(layout, list(layers), {})
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Buildfile").write_text("FROM image\n")
    builder.build(
        str(tmp_path / "context"),
        store=str(tmp_path / "store"),
        build_contexts={"image": f"oci-layout://{layout}"},
        outputs=[Output("tar", str(archive))],
    )
    found: dict[str, str] = {}
    with tarfile.open(archive) as tar:
        for entry in tar:
            name = entry.name.removeprefix("./").strip("/")
            if not name or name == ".":
                continue
            if entry.isdir():
                found[f"{name}/"] = f"{entry.mode:04o}"
            elif entry.issym():
                found[name] = f"-> {entry.linkname}"
            else:
                stream = tar.extractfile(entry)
                assert stream is not None
                found[name] = stream.read().decode()
    return found


@pytest.mark.parametrize(
    ("upper", "changes"),
    [
        ([("d/.wh.old", FILE, "")], {"d/old": None}),
        ([(".wh.x", FILE, ""), ("x", FILE, "upper")], {"x": "upper"}),
        ([("x", FILE, "upper"), (".wh.x", FILE, "")], {"x": "upper"}),
        ([(".wh.nothing", FILE, "")], {}),
        (
            [("d", FOLDER, ""), ("d/.wh..wh..opq", FILE, "")],
            {"d/old": None, "d/sub/": None, "d/sub/old": None},
        ),
        (
            [("d", FOLDER, ""), ("d/new", FILE, "upper"), ("d/.wh..wh..opq", FILE, "")],
            {"d/old": None, "d/sub/": None, "d/sub/old": None, "d/new": "upper"},
        ),
        (
            [("d/.wh..wh..opq", FILE, ""), ("d/sub", FOLDER, ""), ("d/sub/new", FILE, "upper")],
            {"d/old": None, "d/sub/old": None, "d/sub/new": "upper"},
        ),
        (
            [(".wh.d", FILE, ""), ("d", FOLDER, ""), ("d/new", FILE, "upper")],
            {"d/old": None, "d/sub/": None, "d/sub/old": None, "d/new": "upper"},
        ),
        (
            [("d", FILE, "upper")],
            {"d/": None, "d/old": None, "d/sub/": None, "d/sub/old": None, "d": "upper"},
        ),
        ([("x", FOLDER, ""), ("x/in", FILE, "upper")], {"x": None, "x/": "0755", "x/in": "upper"}),
        ([("d/sub/old", FILE, "upper")], {"d/sub/old": "upper"}),
        ([("new/deep/f", FILE, "upper")], {"new/": "0755", "new/deep/": "0755", "new/deep/f": "upper"}),
        ([("./d/./new", FILE, "upper"), ("/top", FILE, "upper")], {"d/new": "upper", "top": "upper"}),
    ],
    ids=[
        *("whiteout", "whiteout and anew", "anew and whiteout", "whiteout of nothing", "opaque"),
        *("opaque behind", "opaque and part", "folder anew", "file for folder", "folder for file"),
        *("below", "folders that are implied", "odd names"),
    ],
)
def test_a_layer_above_another(tmp_path: Path, upper: list[Entry], changes: dict[str, str | None]) -> None:
    expected = {name: text for name, text in {**BELOW, **changes}.items() if text is not None}
    assert files_of(tmp_path, layer(LOWER), layer(upper)) == expected


def test_a_folder_in_a_layer_changes_the_mode_and_not_what_is_in_it(tmp_path: Path) -> None:
    found = files_of(tmp_path, layer(LOWER), layer([("d", FOLDER, "")], mode=0o700))
    assert found == {**BELOW, "d/": "0700"}


@pytest.mark.parametrize("target", ["d/f", "/d/f", "./d/f"])
def test_the_target_of_a_hard_link_begins_at_the_root(tmp_path: Path, target: str) -> None:
    found = files_of(tmp_path, layer([("d", FOLDER, ""), ("d/f", FILE, "text"), ("d/more", HARD, target)]))
    assert found == {"d/": "0755", "d/f": "text", "d/more": "text"}


def test_the_last_of_several_entries_of_a_name_counts(tmp_path: Path) -> None:
    found = files_of(
        tmp_path, layer([("a", FILE, "first"), ("a", FILE, "last"), ("b", FOLDER, ""), ("b", FILE, "")])
    )
    assert found == {"a": "last", "b": ""}


@pytest.mark.parametrize("out", ["/etc", "../../../etc", "/../etc", "."])
def test_a_way_through_a_link_stays_in_the_layer(tmp_path: Path, out: str) -> None:
    found = files_of(tmp_path, layer([("etc", FOLDER, ""), ("l", LINK, out), ("l/made", FILE, "text")]))
    assert "text" in found.values()
    assert not Path("/etc/made").exists()


def test_a_folder_that_a_layer_only_implies_keeps_its_mode(tmp_path: Path) -> None:
    found = files_of(tmp_path, layer(LOWER, mode=0o700), layer([("d/sub/new", FILE, "upper")]))
    assert found == {**BELOW, "d/": "0700", "d/sub/": "0700", "etc/": "0700", "d/sub/new": "upper"}


def test_a_hard_link_may_lead_to_a_layer_below(tmp_path: Path) -> None:
    found = files_of(tmp_path, layer(LOWER), layer([("d/more", HARD, "x")]))
    assert found == {**BELOW, "d/more": "lower"}
