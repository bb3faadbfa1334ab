"""Reports in all their formats: every fact is there, and hostile text is only text."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import junitparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuildFileError, CommandError, Location, UsageError
from builder.events import (
    BuildFinished,
    Condition,
    LayerSize,
    Outcome,
    Reason,
    StageNode,
    StagesPlanned,
    StepFinished,
    StepStarted,
    Traffic,
    Warned,
)
from builder.report.document import Report, report_object
from builder.report.github import annotation, render_github
from builder.report.junit import render_junit
from builder.report.markdown import code, render_markdown
from builder.report.reportfile import FORMATS, Recorder, form_of, render
from builder.value import replace

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "report.schema.json").read_text())
HOSTILE = "RUN `a` | b <img src=x onerror=alert(1)> @team #1 **b** $x$\r\n::error::gotcha\x1b[31m\u202e&amp; \\| [l](javascript:x)"


def recorded(title: str = "[build 2/2] COPY . /") -> Recorder:
    recorder = Recorder()
    recorder.show(StagesPlanned(0.5, "Buildfile", (StageNode(0, "build", "base", (), True),)))
    recorder.show(StepStarted(1.0, 1, "[build 1/2] FROM base", "build", 1, 0))
    recorder.show(StepFinished(1.1, 1, Outcome.HIT, 0.1, 10, "aa", "bb", saved=3.0))
    recorder.show(StepStarted(1.2, 2, title, "build", 2, 0))
    reasons = (Reason("changed", "file f", title), Reason("changed", "arg A", "A: '1' → '2'"))
    recorder.show(StepFinished(1.9, 2, Outcome.MISS, 0.7, 20, "cc", "dd", reasons, same=True))
    recorder.show(Warned(2.0, title, "Buildfile:2"))
    recorder.show(
        BuildFinished(
            *(3.0, 2.5, True, "sha256:ab", ("app:1",), 7),
            layers=(LayerSize("bb", "sha256:01", 100, 200, True), LayerSize("dd", "sha256:02", 1500, 2048)),
            traffic=Traffic(1, 2, 3, 4, 5),
            conditions=(Condition("hit-rate>=0.8", False, "0.5"), Condition("time<9s", True, "2.500s")),
        )
    )
    return recorder


def failed() -> Report:
    recorder = Recorder()
    recorder.show(StepStarted(1.0, 1, "[1/1] RUN make", "", 2, 0))
    recorder.show(StepFinished(1.1, 1, Outcome.FAILED, 0.1, error="exit code: 2"))
    recorder.show(StepStarted(1.0, 2, "[1/1] RUN other", "", 3, 0))
    recorder.show(BuildFinished(2.0, 1.0, False))
    place = Location("Buildfile", 2)
    recorder.failed(
        CommandError("exit code: 2", status=2, output=b"boom </pre><b>", hint="look", location=place)
    )
    return recorder.report()


def test_json_is_as_the_schema_says() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    several = Recorder()
    several.failed(BuildFileError("a", others=(BuildFileError("b"),)))
    for report in (recorded().report(), failed(), several.report(), Recorder().report()):
        document = json.loads(render(report, "json"))
        jsonschema.validate(document, SCHEMA)
    broken = report_object(recorded().report())
    broken["steps"][0]["outcome"] = "lucky"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_the_schema_knows_every_field() -> None:
    def strict(node: object) -> object:
        if isinstance(node, dict):
            found = {name: strict(value) for name, value in node.items()}
            return (
                {**found, "additionalProperties": False} if "properties" in node and "type" in node else found
            )
        return [strict(item) for item in node] if isinstance(node, list) else node

    for report in (recorded().report(), failed()):
        jsonschema.validate(report_object(report), strict(SCHEMA))


def test_what_json_says() -> None:
    found = report_object(recorded().report())
    assert (found["build"], found["file"], found["started"], found["hit_rate"]) == (7, "Buildfile", 0.5, 0.5)
    assert found["traffic"] == {"read": 1, "hashed": 2, "written": 3, "fetched": 4, "pushed": 5}
    assert (found["size"], found["layers"][1]["digest"]) == (1600, "sha256:02")
    assert found["conditions"][0] == {"text": "hit-rate>=0.8", "met": False, "found": "0.5"}
    assert found["stages"] == [{"index": 0, "name": "build", "base": "base", "needs": [], "target": True}]
    assert found["steps"][1]["same"] is True


def test_markdown_says_it_all() -> None:
    text = render_markdown(recorded().report())
    assert text.startswith("## ❌ pybuild <code>app:1</code>\n")
    for part in (
        "**1** of **2** steps from the cache (50%)",
        "saved **3.0s**",
        "image **1.6 kB**",
        "fetched 4 B",
    ):
        assert part in text
    assert "| <code>hit-rate&#62;=0.8</code> | ❌ not met | <code>0.5</code> |" in text
    assert "| <code>&#91;build 2/2&#93; COPY . /</code> | 🔨 miss | 0.7s | 20 B |" in text
    assert "<code>A: '1' → '2'</code>" in text
    assert "no later step is rebuilt for it" in text
    assert "| <code>sha256:01</code> | 100 B | <code>&#91;build 1/2&#93; FROM base</code> |" in text
    assert "### Warnings" in text
    bad = render_markdown(failed())
    assert "**Failed:** <code>Buildfile</code> line 2: <code>exit code: 2</code>" in bad
    assert "<code>look</code>" in bad and "boom &#60;/pre&#62;&#60;b&#62;" in bad
    assert render_markdown(replace(recorded().report(), conditions=())).startswith("## ✅")


@given(st.text(max_size=80) | st.just(HOSTILE))
def test_no_text_means_anything_in_markdown(text: str) -> None:
    shown = code(text, 300)
    inside = shown.removeprefix("<code>").removesuffix("</code>")
    assert not re.search(r"[\n\r`|<>*_\[\]@#~\\$!{}]", re.sub(r"&#\d+;", "", inside))
    assert "&" not in re.sub(r"&#\d+;", "", inside)
    assert "://" not in inside and "www." not in inside
    table = [
        line
        for line in render_markdown(recorded(text).report()).splitlines()
        if line.startswith("| <code>&#91;b")
    ]
    assert all(line.count("|") in (5, 6) for line in table)


def test_long_reports_are_cut_and_say_so() -> None:
    report = recorded().report()
    step = replace(report.steps[1], reasons=report.steps[1].reasons * 100)
    text = render_markdown(replace(report, steps=(step,) * 1000))
    assert "| and 600 more |" in text and "and 190 more" in text
    assert len(text) < 1 << 20


def test_those_who_read_junit_count_what_it_says(tmp_path: Path) -> None:
    """A library that others read such files with finds all suites and cases, and the numbers that stand there."""
    for number, report in enumerate((recorded(HOSTILE).report(), recorded().report(), failed())):
        file = tmp_path / f"{number}.xml"
        file.write_text(render_junit(report), encoding="utf-8")
        read, counted = (junitparser.JUnitXml.fromfile(str(file)) for _ in range(2))
        counted.update_statistics()
        assert (read.tests, read.failures) == (counted.tests, counted.failures)
        assert [(suite.name, suite.tests, suite.failures, suite.skipped) for suite in read] == [
            (suite.name, suite.tests, suite.failures, suite.skipped) for suite in counted
        ]
        names = [case.name for suite in read for case in suite if suite.name != "require"]
        assert len(names) >= len(report.steps) and all(names)
        bad = [case.name for suite in read for case in suite if not (case.is_passed or case.is_skipped)]
        assert len(bad) == read.failures


def test_junit_is_xml_with_a_case_for_each_step_and_condition() -> None:
    root = ET.fromstring(render_junit(recorded(HOSTILE).report()))
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "4", "1")
    assert [suite.get("name") for suite in root] == ["build", "require"]
    cases = list(root[0])
    assert cases[0].get("name") == "[build 1/2] FROM base"
    assert "<img src=x onerror=alert(1)>" in (cases[1].get("name") or "")
    assert "A: '1' → '2'" in (cases[1].findtext("system-out") or "")
    failure = root[1][0].find("failure")
    assert failure is not None and failure.text == "hit-rate>=0.8 is not met: 0.5"
    assert root[1][1].find("failure") is None
    bad = ET.fromstring(render_junit(failed()))
    assert bad.get("failures") == "1"
    assert [[child.tag for child in case] for case in bad[0]] == [
        ["failure", "system-out"],
        ["skipped", "system-out"],
    ]
    early = Recorder()
    early.failed(UsageError("no such context"))
    assert ET.fromstring(render_junit(early.report()))[0][0][0].get("message") == "no such context"


@given(st.text(max_size=60))
def test_any_text_is_xml(text: str) -> None:
    ET.fromstring(render_junit(recorded(text).report()))


def test_annotations() -> None:
    assert render_github(recorded().report()).splitlines() == [
        "::error title=not met::hit-rate>=0.8 is not met: 0.5",
        "::warning file=Buildfile,line=2,title=pybuild::[build 2/2] COPY . /",
        "::notice file=Buildfile,line=2,title=rebuilt%3A [build 2/2] COPY . /::[build 2/2] COPY . /%0AA: '1' → '2'",
    ]
    assert render_github(failed()).splitlines()[0] == (
        "::error file=Buildfile,line=2,title=pybuild::exit code: 2%0Ahint: look"
    )


@given(st.text(max_size=60) | st.just(HOSTILE), st.text(max_size=20))
def test_one_annotation_stays_one(text: str, file: str) -> None:
    found = annotation("warning", file, 1, text, text)
    assert found.count("\n") == 1 and "\r" not in found
    properties = found[len("::warning ") :].partition("::")[0]
    assert re.fullmatch(r"(file=[^:,\n]*,line=1,)?title=[^:,\n]*", properties)


def test_files_of_annotations_are_named_from_here() -> None:
    assert annotation("error", str(Path.cwd() / "a" / "Buildfile"), 3, "t", "x").startswith(
        "::error file=a/Buildfile,"
    )
    assert annotation("error", "/elsewhere/Buildfile", 3, "t", "x").startswith(
        "::error file=/elsewhere/Buildfile,"
    )


@pytest.mark.parametrize(("name", "form"), [("a.json", "json"), ("b.MD", "markdown"), ("c/d.xml", "junit")])
def test_extensions_say_the_format(name: str, form: str) -> None:
    assert form_of(name) == form


@pytest.mark.parametrize("name", ["report", "report.pdf", ".json"])
def test_other_extensions_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="does not say what kind of report"):
        form_of(name)


def test_all_formats_are_written(tmp_path: Path) -> None:
    for form in FORMATS:
        path = tmp_path / form
        recorded().write(str(path), form)
        assert "COPY" in path.read_text()
    with pytest.raises(UsageError, match='there is no report type "pdf"'):
        render(recorded().report(), "pdf")
