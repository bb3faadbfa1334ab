"""Files whose names are marks in a layer: builds can use them, images cannot have them."""

from __future__ import annotations

import tarfile
from pathlib import Path

from conftest import Run


def test_a_file_that_is_a_mark_in_a_layer_is_refused_there(
    pybuild: Run, context: Path, tmp_path: Path
) -> None:
    (context / ".wh.foo").write_text("mark")
    (context / "Buildfile").write_text(
        "FROM scratch AS a\nCOPY . /d/\nFROM scratch\nCOPY --from=a /d/.wh.foo /foo\n"
    )
    done = pybuild("build", "--target", "a", "-t", "marks", context, ok=False)
    assert done.returncode == 1
    assert "d/.wh.foo: a layer cannot hold a file whose name begins with .wh." in done.stderr
    assert "hint: such a name removes other files" in done.stderr
    pybuild("build", "--target", "a", "-o", tmp_path / "out", context)
    assert (tmp_path / "out/d/.wh.foo").read_text() == "mark"
    pybuild("build", "-o", f"type=tar,dest={tmp_path / 'out.tar'}", context)
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert tar.getnames() == ["foo"]
