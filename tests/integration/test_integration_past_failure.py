"""Builds that failed: what their last command wrote is in every report, then and later, and no secret is in any."""

from __future__ import annotations

import json
import sqlite3
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from conftest import ROOT, Run

SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())
SECRET = "tr0ub4dor&3"


@pytest.fixture
def failed(pybuild: Run, context: Path, tmp_path: Path) -> Path:
    """The report of a build whose command fails after it told a secret."""
    (context / "Buildfile").write_text(
        "FROM base\nRUN echo fine\n"
        "RUN --mount=type=secret,id=key --mount=type=secret,id=env,env=WORD "
        "seq 5000 | sed 's/^/line /'; cat /run/secrets/key; printf 'a\\033[31m<b>\\t%s\\n' $WORD; "
        "echo cannot open the door >&2; exit 7\n"
    )
    (tmp_path / "key").write_text(f"{SECRET}\n")
    (tmp_path / "env").write_text("other-secret")
    report = tmp_path / "report.json"
    done = pybuild(
        *("build", "--progress", "plain", "--report", report, "--report", tmp_path / "then.xml"),
        *("--secret", f"id=key,src={tmp_path / 'key'}", "--secret", f"id=env,src={tmp_path / 'env'}"),
        context,
        ok=False,
    )
    assert done.returncode == 1
    return report


def test_the_last_output_is_remembered_with_the_build(
    pybuild: Run, failed: Path, store: Path, tmp_path: Path
) -> None:
    then = json.loads(failed.read_text())
    assert then["error"]["output"].endswith("line 5000\n****\na\x1b[31m<b>\t****\ncannot open the door\n")
    assert len(then["error"]["output"]) <= 16 << 10 and then["error"]["status"] == 7
    now = json.loads(pybuild("report", "--last", "--format", "json").stdout)
    jsonschema.validate(now, SCHEMA)
    assert now["error"] == then["error"]
    text = pybuild("report", "1").stdout
    assert "last 20 lines of output:\n" in text and "\n  | a<b>\t****\n  | cannot open the door\n" in text
    for form in ("markdown", "html", "junit"):
        page = pybuild("report", "1", "--format", form).stdout
        assert "cannot open the door" in page and "line 4999" in page and "a<b>" not in page, form
    (failure,) = ET.fromstring(pybuild("report", "1", "--format", "junit").stdout).iter("failure")
    assert failure.text is not None and failure.text.splitlines()[0].startswith("process ")
    assert failure.text.endswith("a<b>\t****\ncannot open the door")
    old, new = (tmp_path / "then.xml").read_text(), pybuild("report", "1", "--format", "junit").stdout
    assert old.partition("<testsuite ")[2] == new.partition("<testsuite ")[2]


def test_explain_shows_it_under_the_step(pybuild: Run, failed: Path) -> None:
    text = pybuild("explain").stdout
    assert "last 10 lines of output:\n" in text and text.endswith("      | cannot open the door\n")
    whole = pybuild("explain", "1", "RUN --mount").stdout
    assert "last 40 lines of output:\n" in whole and "| cannot open the door\n" in whole
    assert "output:" not in pybuild("explain", "1", "RUN echo fine").stdout
    document = json.loads(pybuild("explain", "--format", "json").stdout)
    assert document["build"]["output"].endswith("cannot open the door\n")


def test_no_secret_is_in_the_store_or_a_report(pybuild: Run, failed: Path, store: Path) -> None:
    words = [SECRET.encode(), b"other-secret"]
    pages = [
        failed.read_bytes(),
        *(pybuild("report", "1", "--format", form).stdout.encode() for form in FORMS),
    ]
    files = [path for path in store.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name == "pybuild.db" for path in files)
    for data in (*pages, *(path.read_bytes() for path in files)):
        assert not any(word in data for word in words)


FORMS = ("json", "markdown", "junit", "html", "github")


def test_a_row_of_an_older_version_has_no_output(pybuild: Run, failed: Path, store: Path) -> None:
    database = sqlite3.connect(store / "pybuild.db", isolation_level=None)
    ((name, text),) = database.execute("SELECT id, text FROM details").fetchall()
    older = json.loads(text)
    (older["failure"][0]).pop()
    database.execute("UPDATE details SET text = ? WHERE id = ?", (json.dumps(older), name))
    database.close()
    found = json.loads(pybuild("report", "1", "--format", "json").stdout)
    assert found["error"]["output"] == "" and found["error"]["status"] == 7
    assert "last" not in pybuild("explain").stdout
