"""The HTML page: what is on it, and that text from elsewhere stays text. How it behaves is tested in a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BuilderError, BuildFileError, CommandError, Location, StepError
from builder.events import Outcome, Reason, StageNode
from builder.report.document import Report, ReportStep, error_object
from builder.report.html import render_html
from builder.report.reportfile import Recorder
from builder.report.stagegraph import HEIGHT, draw
from builder.report.trend import Flaky, Point, Trend
from builder.report.waterfall import lay_out
from builder.value import replace

HOSTILE = "RUN </script><img src=http://evil.example/x onerror=alert(1)> \" ' {{ 7*7 }} \u202e\x1b[31m"


class Page(HTMLParser):
    """Every text and every attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def report(count: int = 6, title: str = "RUN make") -> Report:
    steps = [
        ReportStep(
            number,
            f"[build {number}/{count}] {title} {number}",
            "build",
            number,
            0,
            100.0 + number,
            Outcome.MISS if number % 2 else Outcome.HIT,
            0.5,
            1.0,
            1000,
            reasons=(Reason("changed", f"file f{number}", f"f{number} (content) {title}"),)
            if number % 2
            else (),
        )
        for number in range(1, count + 1)
    ]
    return Report(
        True, 100.0, 8.0, 3, "Buildfile", steps=tuple(steps), stages=(StageNode(0, "build", title),)
    )


def test_every_miss_and_reason_is_there() -> None:
    page = Page(render_html(report(200)))
    for number in range(1, 201, 2):
        assert f"[build {number}/200] RUN make {number}" in page.text
        assert f"f{number} (content) RUN make" in page.text
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert set(links) <= set(ids)


def test_a_miss_that_followed_another_points_to_it() -> None:
    first, second = report(2).steps
    second = replace(
        second, outcome=Outcome.MISS, reasons=(Reason("changed", "parent", "because step 1 changed", 1),)
    )
    text = render_html(replace(report(), steps=(first, second)))
    assert '<li class="follows"><a href="#why-1">because step 1 changed</a></li>' in text


@settings(max_examples=10)
@given(st.text(max_size=60) | st.just(HOSTILE))
def test_no_text_becomes_a_tag(text: str) -> None:
    def page_of(text: str) -> Page:
        hostile = replace(
            report(2, text),
            file=text,
            names=(text,),
            error={"message": text, "hint": text, "file": text, "line": 1, "column": 1, "output": text},
        )
        points = tuple(Point(number, 1.0, "done", 1, 1, 1.0, 0.0, 5) for number in (1, 2))
        return Page(render_html(hostile, Trend(points, (Flaky(text, text, 3, 2, ((text, 2),), 1.0),))))

    page = page_of(text)
    assert page.tags == page_of("plain").tags or not text
    assert page.tags.count("script") == 1 and "img" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "\u202e" not in page.text and "\x1b" not in page.text


def test_the_page_asks_nobody_for_anything() -> None:
    text = render_html(report())
    assert not re.findall(r"""(?:src|href|action)=["'](?!#|data:,)|url\(|@import""", text)
    assert "default-src 'none'" in text


def test_an_empty_report_is_a_page() -> None:
    failed = Recorder()
    page = Page(render_html(failed.report()))
    assert "Failed" in page.text and "every step came from the cache" not in page.text


def test_the_output_of_a_command_keeps_its_blanks() -> None:
    error = {"message": "m", "hint": "", "file": "", "line": 0, "column": 0, "output": "a\n    at b\x1b[31m"}
    assert "\n    at b\n" in render_html(replace(report(), ok=False, error=error))


@pytest.mark.parametrize(
    "error",
    [
        BuilderError("no such thing", hint="ask again"),
        StepError("not there", location=Location("Buildfile", 3, 1)),
        CommandError("failed", status=2, output=b"out"),
        BuildFileError("wrong", others=(BuildFileError("wrong too"),)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_all_kinds_are_shown(error: BuilderError) -> None:
    shown = Page(render_html(replace(report(), ok=False, error=error_object(error)))).text
    for one in (error, *getattr(error, "others", ())):
        assert one.message in shown


def test_trend_and_flaky_steps() -> None:
    points = tuple(Point(number, 1e9, "done", number, 10 - number, 2.0, 1.0, 5000) for number in range(11))
    flaky = Flaky("build", "COPY src/ /src", 10, 9, (("file src/version.txt", 9),), 4.0)
    page = Page(render_html(report(), Trend(points, (flaky,))))
    assert "The last 11 builds" in page.text
    assert "missed 9 of 10 times, always because of src/version.txt" in page.text
    assert "The last" not in Page(render_html(report(), Trend(points[:1]))).text


def test_bars_stay_inside_and_lanes_do_not_overlap() -> None:
    begun = [(0.0, 2.0), (0.5, 1.0), (1.5, 3.0), (2.0, 0.0), (4.5, 0.1)]
    steps = tuple(
        ReportStep(number, "t", started=10.0 + start, outcome=Outcome.MISS, seconds=took)
        for number, (start, took) in enumerate(begun, 1)
    )
    found = lay_out(Report(True, 10.0, 5.0, steps=steps))
    assert found.lanes == 2
    assert [bar.lane for bar in found.bars] == [0, 1, 1, 0, 0]
    assert all(bar.left >= 0 and bar.left + bar.width <= 100.01 for bar in found.bars)
    assert [tick.seconds for tick in found.ticks] == pytest.approx([0, 1, 2, 3, 4, 5])
    assert found.bars[2].left == pytest.approx(30) and found.bars[2].width == pytest.approx(60)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=12), st.floats(0, 1e6))
def test_any_times_can_be_drawn(times: list[tuple[float, float]], whole: float) -> None:
    steps = tuple(
        ReportStep(number, "t", started=start, outcome=Outcome.MISS, seconds=took)
        for number, (start, took) in enumerate(times, 1)
    )
    found = lay_out(Report(True, 0.0, whole, steps=steps))
    assert len(found.bars) == len(times) and len(found.ticks) <= 7
    assert all(0 <= bar.left <= 100 and 0 < bar.width <= 100 for bar in found.bars)


def test_stages_stand_right_of_what_they_need() -> None:
    stages = (
        StageNode(0, "a", "x"),
        StageNode(2, "b", "x", (0,)),
        StageNode(3, "c", "x"),
        StageNode(5, "d", "x", (2, 3, 99), True),
    )
    drawing = draw(Report(True, stages=stages))
    place = {node.stage.name: (node.x, node.y) for node in drawing.nodes}
    assert place["a"][0] < place["b"][0] == place["c"][0] < place["d"][0]
    assert place["b"][1] != place["c"][1]
    assert len(drawing.arrows) == 3
    assert all(0 <= x < drawing.width and 0 <= y < drawing.height for x, y in place.values())


def test_no_arrow_goes_behind_a_box() -> None:
    """One that did would tell of two arrows: to the box, and from it."""
    stages = (
        StageNode(0, "a", "x"),
        StageNode(1, "b", "x", (0,)),
        StageNode(2, "c", "x", (1, 0)),
        StageNode(3, "d", "x", (2, 0, 1), True),
    )
    drawing = draw(Report(True, stages=stages))
    assert len(drawing.arrows) == 6
    # Those that pass a column, one of them two, are above or below the boxes there.
    lanes = [int(text) for arrow in drawing.arrows for text in re.findall(r"(\d+)H", arrow)]
    assert len(lanes) == 4
    for height in lanes:
        assert not any(
            node.y <= height <= node.y + HEIGHT for node in drawing.nodes if node.stage.name in "bc"
        )
