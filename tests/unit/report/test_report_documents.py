"""Summaries, JSON progress and report files."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuilderError, BuildFileError, CommandError, Location
from builder.events import (
    BuildFinished,
    Event,
    Outcome,
    Reason,
    StepFinished,
    StepOutput,
    StepStarted,
    Warned,
)
from builder.report.document import report_object
from builder.report.harmless import harmless
from builder.report.rawjson import RawJson
from builder.report.reportfile import Recorder
from builder.report.summary import render_summary
from builder.report.text import counted, human, seconds

REASONS = tuple(Reason("changed", f"file f{number}", f"f{number} (content)") for number in range(9))
EVENTS: tuple[Event, ...] = (
    StepStarted(1.5, 1, "[1/2] FROM base", "", 1),
    StepFinished(1.6, 1, Outcome.HIT, 0.1, 10, "k", "s", saved=3.0),
    StepStarted(1.7, 2, "[2/2] COPY . /", "", 2),
    Warned(1.8, "careful", "F:2"),
    StepFinished(1.9, 2, Outcome.MISS, 0.2, 20, "k2", "s2", REASONS[:1]),
    StepStarted(2.0, 3, "exporting", ""),
    BuildFinished(2.1, 0.6, True, "sha256:1", ("a:1",)),
)


def test_many_reasons_are_counted() -> None:
    step = StepFinished(0.0, 1, Outcome.MISS, 61.0, 5_000_000, reasons=REASONS)
    assert render_summary([("COPY . /", step)], BuildFinished(0.0, 61.0, True)) == (
        " step      result   time    size  why\n"
        " COPY . /  miss    1m01s  5.0 MB  f0 (content)\n"
        "                                  f1 (content)\n"
        "                                  f2 (content)\n"
        "                                  f3 (content)\n"
        "                                  and 5 more\n"
        "\n"
        "done: 1 step: 0 hits, 1 miss, 1m01s"
    )


def test_titles_and_reasons_are_kept_in_bounds() -> None:
    step = StepFinished(0.0, 1, Outcome.MISS, 0.0, reasons=(Reason("changed", "x", "y\x1b[31m" * 500),))
    text = render_summary([("RUN " + "x\n" * 500, step)], BuildFinished(0.0, 0.0, True))
    assert max(map(len, text.splitlines())) < 260
    assert "\x1b" not in text
    narrow = render_summary([("RUN " + "x" * 500, step)], BuildFinished(0.0, 0.0, True), width=80)
    assert max(map(len, narrow.splitlines()[:-2])) <= 80
    assert "y" in narrow


def test_the_report_of_a_build(tmp_path: Path) -> None:
    recorder = Recorder()
    for event in EVENTS:
        recorder.show(event)
    path = tmp_path / "report.json"
    recorder.write(str(path))
    document = json.loads(path.read_text())
    assert document["schema"] == 1
    assert (document["ok"], document["image"], document["names"]) == (True, "sha256:1", ["a:1"])
    assert (document["hits"], document["misses"], document["saved"], document["seconds"]) == (1, 1, 3.0, 0.6)
    assert document["error"] is None
    assert document["warnings"] == [{"message": "careful", "place": "F:2"}]
    assert document["steps"][1] == {
        "step": 2,
        "title": "[2/2] COPY . /",
        "stage": "",
        "line": 2,
        "of": -1,
        "started": 1.7,
        "outcome": "miss",
        "seconds": 0.2,
        "saved": 0.0,
        "size": 20,
        "key": "k2",
        "state": "s2",
        "reasons": [{"kind": "changed", "part": "file f0", "detail": "f0 (content)", "step": 0}],
        "error": "",
        "same": False,
        "origin": "",
    }
    # Every step has every field, also one that did not come to its end.
    assert {frozenset(step) for step in document["steps"]} == {frozenset(document["steps"][1])}
    assert document["steps"][2]["outcome"] == "cancelled"
    assert list(tmp_path.iterdir()) == [path]


def test_the_report_of_a_failure() -> None:
    recorder = Recorder()
    place = Location("F", 3, 2, 1, "x")
    recorder.failed(CommandError("exit code: 2", status=2, output=b"a\xff", hint="h", location=place))
    assert report_object(recorder.report())["ok"] is False
    assert report_object(recorder.report())["error"] == {
        "message": "exit code: 2",
        "hint": "h",
        "file": "F",
        "line": 3,
        "column": 2,
        "status": 2,
        "output": "a\ufffd",
    }
    recorder.failed(BuildFileError("a", others=(BuildFileError("b"),)))
    assert report_object(recorder.report())["error"]["others"][0]["message"] == "b"


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match=r'cannot write ".*nosuch/r.json": No such file or directory'):
        Recorder().write(str(tmp_path / "nosuch" / "r.json"))


def test_json_progress_is_one_object_a_line() -> None:
    stream = io.StringIO()
    raw = RawJson(stream)
    for event in EVENTS:
        raw.show(event)
    raw.show(StepOutput(3.0, 3, "stdout", "é\n\x1b".encode()))
    raw.show(StepOutput(3.0, 3, "stderr", b"\xff\x00"))
    raw.failed(BuilderError("no", hint="why"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines[:3]] == ["StepStarted", "StepFinished", "StepStarted"]
    assert lines[1] == {
        "event": "StepFinished",
        "time": 1.6,
        "step": 1,
        "outcome": "hit",
        "seconds": 0.1,
        "size": 10,
        "key": "k",
        "state": "s",
        "reasons": [],
        "error": "",
        "saved": 3.0,
        "slot": "",
        "digest": "",
        "same": False,
        "compared": "",
        "origin": "",
    }
    assert lines[-3]["data"] == "é\n\x1b"
    assert base64.b64decode(lines[-2]["base64"]) == b"\xff\x00"
    assert (lines[-1]["event"], lines[-1]["message"]) == ("Error", "no")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (5 * 10**13, "50.0 TB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert human(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.0s"), (59.94, "59.9s"), (59.96, "1m00s"), (125, "2m05s"), (3600, "1h00m"), (3725, "1h02m")],
)
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text


@given(st.text())
def test_harmless_text_is_harmless(text: str) -> None:
    clean = harmless(text)
    assert all(sign.isprintable() or sign in "\t\u00a0\u3000" for sign in clean)
    assert harmless(clean) == clean


@given(st.text(st.sampled_from("\x1b[]()0;m\x07\\ab\x9b\x9cP\n"), max_size=40))
def test_sequences_leave_no_escape(text: str) -> None:
    assert not set(harmless(text)) & set("\x1b\x9b\x07\n")


def test_one_thing_is_not_called_several():
    assert [counted(number, "step") for number in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]
    assert [counted(number, "miss", "es") for number in (0, 1, 2)] == ["0 misses", "1 miss", "2 misses"]
