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


def test_the_causes_of_a_build_are_those_of_its_steps() -> None:
    """Whichever way steps follow one another, in circles too, as a damaged database may have them."""
    import random

    from builder.events import Reason
    from builder.report.trend import causes_of_build, root_causes
    from builder.store.history import BuildStep

    chance = random.Random(5)
    for _ in range(60):
        steps = {
            number: BuildStep(
                *(
                    number,
                    "s",
                    "t",
                    "",
                    1,
                    chance.choice([Outcome.MISS, Outcome.MISS, Outcome.HIT]),
                    0.0,
                    0.0,
                ),
                reasons=tuple(
                    Reason(
                        "changed",
                        chance.choice(["parent", "from", "file a", "arg B"]),
                        "",
                        chance.choice([0, chance.randrange(9)]),
                    )
                    for _ in range(chance.randrange(3))
                ),
            )
            for number in range(1, 8)
        }
        found = causes_of_build(steps)
        assert found == {
            number: root_causes(step, steps) for number, step in steps.items() if step.outcome is Outcome.MISS
        }
