"""Which step a layer is put down to, in every format."""

from __future__ import annotations

import pytest

from builder.events import LayerSize, Outcome, StageNode
from builder.report.document import Report, ReportStep
from builder.report.listing import render_report
from builder.report.reportfile import render

STEPS = (
    ReportStep(1, "[1/4] FROM base", of=0, outcome=Outcome.HIT, state="aa"),
    ReportStep(2, "[2/4] RUN one", of=0, outcome=Outcome.MISS, state="bb", size=7),
    ReportStep(3, "[3/4] RUN check", of=0, outcome=Outcome.MISS, state="bb"),
    ReportStep(4, "[4/4] RUN again", of=0, outcome=Outcome.HIT, state="bb"),
)
REPORT = Report(
    ok=True,
    steps=STEPS,
    stages=(StageNode(0, "", "base", (), True),),
    layers=(LayerSize("aa", "sha256:1", 5, 6, True), LayerSize("bb", "sha256:2", 5, 6, False)),
)


def test_a_step_that_changes_nothing_made_no_layer() -> None:
    text = render_report(REPORT).partition("layers: ")[2]
    assert "RUN one" in text and "RUN check" not in text and "RUN again" not in text


@pytest.mark.parametrize(("form", "begin"), [("markdown", "made by |"), ("html", ">Layers<")])
def test_so_it_is_in_pages(form: str, begin: str) -> None:
    text = render(REPORT, form).partition(begin)[2].partition("</section>")[0]
    assert "RUN one" in text and "RUN check" not in text and "RUN again" not in text


def test_a_stage_without_a_name_is_called_as_titles_call_it() -> None:
    from builder.events import Reason
    from builder.report.trend import flaky_steps
    from builder.store.history import BuildStep

    steps = [
        BuildStep(
            *(3, "/f\n1\nRunStep", "[stage-1 2/3] RUN make", "", 7, Outcome.MISS, 0.0, 1.0),
            reasons=(Reason("changed", "file a", "a (content)"),),
            build=build,
        )
        for build in (1, 2)
    ]
    assert [one.stage for one in flaky_steps(steps)] == ["stage-1"]
