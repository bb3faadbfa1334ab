"""Reports as a contract for CI: files of every kind, conditions, GitHub's summary."""

from __future__ import annotations

import html
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest

import builder
from tests.conftest import ROOT, Run

SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())


@pytest.fixture
def project(context: Path) -> Path:
    (context / "Buildfile").write_text(
        "FROM scratch AS tools\nCOPY tool /tool\n"
        "FROM base AS app\nCOPY a /a\nRUN say hello > /b\nCOPY --from=tools /tool /tool\n"
    )
    (context / "a").write_text("x" * 1000)
    (context / "tool").write_text("t" * 500)
    return context


def test_steps_are_told_in_the_order_of_the_build_file(pybuild: Run, context: Path, tmp_path: Path) -> None:
    """Also where a stage waits for another that stands below it in the list of those that began."""
    (context / "Buildfile").write_text(
        "FROM base AS made\nCOPY a /a\nRUN say first > /b\nFROM base\nCOPY --from=made /b /b\nRUN say last > /c\n"
    )
    (context / "a").write_text("1")
    files = [tmp_path / name for name in ("r.md", "r.xml", "r.html")]
    pybuild("build", *(word for file in files for word in ("--report", file)), context)
    for file in files:
        text = file.read_text()
        begin = text.index("Why steps") if file.suffix == ".html" else 0
        places = [
            text.index(word, begin) for word in ("COPY a /a", "RUN say first", "COPY --from", "RUN say last")
        ]
        assert places == sorted(places), file


def test_several_reports_of_one_build(pybuild: Run, project: Path, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("r.json", "r.md", "r.xml")]
    flags = [word for name in names for word in ("--report", name)]
    done = pybuild(
        "build",
        "-t",
        "app",
        *flags,
        "--report",
        "type=github",
        "--report",
        f"type=junit,dest={tmp_path / 'x'}",
        project,
    )
    document = json.loads(names[0].read_text())
    jsonschema.validate(document, SCHEMA)
    assert (document["ok"], document["build"], document["misses"]) == (True, 1, document["misses"])
    assert [stage["name"] for stage in document["stages"]] == ["tools", "app"]
    assert document["stages"][1]["needs"] == [0]
    assert "## ✅ pybuild" in names[1].read_text()
    assert ET.fromstring(names[2].read_text()).get("failures") == "0"
    assert (tmp_path / "x").read_text() == names[2].read_text()
    assert "::notice file=" in done.stderr


def test_layers_and_bytes(pybuild: Run, project: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    pybuild("build", "--report", report, project)
    first = json.loads(report.read_text())
    steps = {step["state"]: step["title"] for step in first["steps"] if step["state"]}
    assert [layer["pulled"] for layer in first["layers"]] == [True, False, False, False]
    assert [steps[layer["state"]].split("] ")[1] for layer in first["layers"]] == [
        "FROM base",
        "COPY a /a",
        "RUN say hello > /b",
        "COPY --from=tools /tool /tool",
    ]
    assert first["size"] == sum(layer["size"] for layer in first["layers"])
    moved = first["traffic"]
    # The two files of the context are read to key them, to copy them, to know the changes, and to pack them.
    assert moved["read"] >= 1500 * 3
    assert moved["hashed"] >= 1500 * 2
    assert moved["written"] >= 2000 + first["size"]
    assert (moved["fetched"], moved["pushed"]) == (0, 0)
    pybuild("build", "--report", report, project)
    second = json.loads(report.read_text())
    assert second["layers"] == first["layers"]
    # Fully cached: nothing is read or hashed again.
    assert second["traffic"] == {"read": 0, "hashed": 0, "written": 0, "fetched": 0, "pushed": 0}
    assert second["hit_rate"] == 1.0
    assert second["build"] == first["build"] + 1


def test_conditions_end_with_status_3(pybuild: Run, project: Path, tmp_path: Path) -> None:
    report, iid = tmp_path / "r.json", tmp_path / "iid"
    line = ["build", "-t", "app", "--report", report, "--iidfile", iid]
    conditions = ["hit-rate>=0.8", "hit:app/COPY a", "time<600s", "size<1GB"]
    flags = [word for text in conditions for word in ("--require", text)]
    done = pybuild(*line, *flags, project, ok=False)
    assert done.returncode == 3
    assert "error: hit-rate>=0.8 is not met: " in done.stderr
    assert "hit:app/COPY a is not met: [app 2/4] COPY a /a is a miss: never built before" in done.stderr
    assert "time<600s" not in done.stderr
    assert iid.read_text().startswith("sha256:")
    document = json.loads(report.read_text())
    assert document["ok"] is True
    assert [condition["met"] for condition in document["conditions"]] == [False, False, True, True]
    assert pybuild("images").stdout.count("app") == 1
    assert pybuild(*line, *flags, project).returncode == 0
    (project / "tool").write_text("u")
    done = pybuild(*line, "--require", "hit:tools", project, ok=False)
    assert done.returncode == 3
    assert "[tools 1/1] COPY tool /tool is a miss: tool (content" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--require", "hitrate>=1"], "did you mean hit-rate?"),
        (["--require", "hit:tols/1"], "did you mean tools?"),
        (["--require", "time<1"], "60s or 1m30s"),
        (["--report", "report"], "does not say what kind of report"),
        (["--report", "type=pdf"], 'there is no "pdf"'),
        (["--report", "form=json"], "neither type= nor dest="),
        (["--report", ""], "--report is empty"),
        (["--report", "-", "--report", "type=junit,dest=-"], "standard output"),
        (["--report", "a.json", "--report", "type=junit,dest=a.json"], "two reports"),
    ],
)
def test_mistakes_are_told_before_anything_is_built(
    pybuild: Run, project: Path, flags: list[str], message: str
) -> None:
    done = pybuild("build", *flags, project, ok=False)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert "COPY" not in done.stderr


def test_conditions_in_json_progress(pybuild: Run, project: Path) -> None:
    done = pybuild("build", "--progress", "rawjson", "--require", "hits>99", project, ok=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, lines[-1]["event"]) == (3, "Error")
    assert lines[-1]["message"].startswith("hits>99 is not met: ")
    (end,) = [line for line in lines if line["event"] == "BuildFinished"]
    assert end["conditions"][0]["met"] is False


def test_a_failed_build_keeps_its_status(pybuild: Run, project: Path, tmp_path: Path) -> None:
    (project / "Buildfile").write_text("FROM base\nRUN false\n")
    report = tmp_path / "r.json"
    done = pybuild("build", "--require", "time<1h", "--report", report, project, ok=False)
    assert done.returncode == 1
    document = json.loads(report.read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["conditions"] == []


@pytest.mark.parametrize(
    "line", ["RUN false", "COPY nosuch /x", "RUN --mount=type=secret,id=none,required true"]
)
def test_every_format_tells_of_every_failure(pybuild: Run, project: Path, tmp_path: Path, line: str) -> None:
    (project / "Buildfile").write_text(f"FROM base\n{line}\n")
    names = ("r.json", "r.md", "r.xml", "r.html")
    wanted = [word for name in names for word in ("--report", tmp_path / name)]
    done = pybuild("build", *wanted, "--report", "type=github", project, ok=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "::error " in done.stderr
    message = json.loads((tmp_path / "r.json").read_text())["error"]["message"]
    for name in names:
        text = html.unescape((tmp_path / name).read_text())
        assert message in text.replace("\\", ""), name
    assert f"Buildfile:2: error: {message}" in pybuild("report", "--last").stdout
    # The same of the past, but for what the command wrote.
    past = json.loads(pybuild("report", "--last", "--format", "json").stdout)
    jsonschema.validate(past, SCHEMA)
    live = json.loads((tmp_path / "r.json").read_text())["error"]
    assert past["error"] == live | ({"output": ""} if "output" in live else {}) and live["line"] == 2
    for form in ("json", "markdown", "junit", "html", "github"):
        assert message in html.unescape(pybuild("report", "--last", "--format", form).stdout).replace(
            "\\", ""
        ), form


def test_githubs_summary_is_appended_to(
    pybuild: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    pybuild("build", project)
    pybuild("build", "--report", "type=markdown", project)
    text = summary.read_text()
    assert text.startswith("before\n## ✅ pybuild\n")
    assert text.count("## ✅ pybuild") == 2
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nosuch" / "file"))
    done = pybuild("build", project)
    assert "warning: cannot write" in done.stderr


def test_a_report_on_standard_output(pybuild: Run, project: Path) -> None:
    document = json.loads(pybuild("build", "-q", "--report", "-", project).stdout)
    jsonschema.validate(document, SCHEMA)


def test_no_secret_reaches_a_report(pybuild: Run, project: Path, tmp_path: Path) -> None:
    (project / "Buildfile").write_text("FROM base\nRUN --mount=type=secret,id=s cat /run/secrets/s > /x\n")
    (tmp_path / "s").write_text("hunter2hunter2")
    names = [tmp_path / name for name in ("r.json", "r.md", "r.xml")]
    flags = [word for name in names for word in ("--report", name)]
    pybuild("build", "--secret", f"id=s,src={tmp_path / 's'}", *flags, project)
    assert all("hunter2" not in name.read_text() for name in names)


def test_the_library_does_it_too(context: Path, store: Path, tmp_path: Path) -> None:
    (context / "Buildfile").write_text("FROM scratch\nCOPY a /a\n")
    (context / "a").write_text("x")
    recorder = builder.Recorder()
    result = builder.build(
        str(context), store=str(store), require=["hits>=1", "misses<=1"], on_event=recorder.show
    )
    assert [(condition.text, condition.found) for condition in result.unmet] == [("hits>=1", "0")]
    assert result.layers and result.traffic.written > 0
    recorder.write(str(tmp_path / "r.md"))
    assert "not met" in (tmp_path / "r.md").read_text()
    assert recorder.report().conditions == result.conditions
