"""Conditions on a result: what they may say, and when they are met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.engine.conditions import METRICS, Facts, check_stages, judge, parse_conditions
from builder.errors import UsageError
from builder.events import LayerSize, Outcome, Reason, StageNode, StepFinished, StepStarted, Traffic

STAGES = (
    StageNode(0, "build", "base"),
    StageNode(2, "stage-2", "scratch", (0,), True),
    StageNode(3, "tests", "build"),
)


def step(
    number: int, title: str, outcome: Outcome, of: int, **more: object
) -> tuple[StepStarted, StepFinished]:
    return StepStarted(0.0, number, title, "", 1, of), StepFinished(0.0, number, outcome, 1.0, **more)  # type: ignore[arg-type]


FACTS = Facts(
    steps=(
        step(1, "[build 1/3] FROM base", Outcome.HIT, 0, saved=2.5),
        step(2, "[build 2/3] RUN pip install  -r x", Outcome.HIT, 0),
        step(
            3, "[build  3/3] COPY . /", Outcome.MISS, 0, reasons=(Reason("changed", "file a", "a (content)"),)
        ),
        step(4, "[stage-2 1/1] COPY --from=build /a /", Outcome.HIT, 2),
        step(5, "exporting to image", Outcome.DONE, -1),
        step(6, "[tests 1/1] RUN --network=none  --mount=type=cache,target=/c [ -f x ]", Outcome.DONE, 3),
    ),
    stages=STAGES,
    seconds=61.5,
    layers=(LayerSize("", "", 150_000_000), LayerSize("", "", 50_000_000)),
    traffic=Traffic(read=1, hashed=2, written=3, fetched=4096, pushed=0),
    warnings=2,
)


@pytest.mark.parametrize(
    ("text", "met", "found"),
    [
        ("hit-rate>=0.75", True, "0.75"),
        ("hit-rate >= 75%", True, "0.75"),
        ("hit-rate>0.75", False, "0.75"),
        ("hits=3", True, "3"),
        ("misses==1", True, "1"),
        ("misses!=1", False, "1"),
        ("steps<=4", True, "4"),
        ("time<60s", False, "61.5s"),
        ("time<1m2s", True, "61.5s"),
        ("saved>=2500ms", True, "2.500s"),
        ("size<200MB", False, "200.000MB"),
        ("size<=200MB", True, "200.000MB"),
        ("size<191MiB", True, "200.000MB"),
        ("layers<3", True, "2"),
        ("warnings=0", False, "2"),
        ("read<2", True, "1B"),
        ("fetched<=4KiB", True, "4.096kB"),
        ("pushed=0", True, "0B"),
        ("hit:build/1", True, "hit"),
        ("hit:build/RUN pip", True, "hit"),
        ("hit:build/RUN * -r x", True, "hit"),
        ("hit:Build/3", False, "[build 3/3] COPY . / is a miss: a (content)"),
        ("hit:build", False, "[build 3/3] COPY . / is a miss: a (content)"),
        ("hit:*/COPY --from", True, "hit"),
        ("hit:2/1", True, "hit"),
        ("hit:stage-2", True, "hit"),
        ("hit:build/RUN pop", False, 'the stage has no step "RUN pop"; did you mean "RUN pip install -r x"?'),
        ("hit:build/9", False, 'the stage has no step "9"'),
        # Brackets are what they are, and people leave flags out; a step that was done is none that was found.
        (
            "hit:tests/RUN [ -f",
            False,
            "[tests 1/1] RUN --network=none --mount=type=cache,target=/c [ -f x ] is a done",
        ),
        (
            "hit:tests/RUN --network=none",
            False,
            "[tests 1/1] RUN --network=none --mount=type=cache,target=/c [ -f x ] is a done",
        ),
        (
            "hit:tests/RUN [ -d",
            False,
            'the stage has no step "RUN [ -d"; did you mean "RUN --network=none --mount=type=cache,target=/c [ -f x ]"?',
        ),
        ("hit:build/RUN a>=b", False, 'the stage has no step "RUN a>=b"'),
    ],
)
def test_what_is_met(text: str, met: bool, found: str) -> None:
    (condition,) = judge(parse_conditions([text]), FACTS)
    assert (condition.text, condition.met, condition.found) == (text, met, found)


def test_a_build_without_steps_hits_everything() -> None:
    (condition,) = judge(parse_conditions(["hit-rate>=1"]), Facts(()))
    assert condition.met


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("hitrate>=1", 'there is nothing called "hitrate"', "did you mean hit-rate?"),
        ("zzz>=1", 'there is nothing called "zzz"', "conditions are about hit-rate"),
        ("", 'the condition "" cannot be understood', "for example"),
        ("time", "cannot be understood", "for example"),
        ("time<", 'needs a value such as 60s or 1m30s, not ""', None),
        ("time<60", "needs a value such as 60s", None),
        ("time<-1s", "needs a value such as 60s", None),
        ("size<1parsec", "needs a value such as 200MB", None),
        ("hits>=many", "needs a value such as 3", None),
        ("hit-rate>=80MB", "needs a value such as 0.8 or 80%", None),
        ("miss:a/b", 'the condition "miss:a/b" is unknown', "write hit:STAGE/STEP"),
        ("hit:", "names no stage", "write hit:STAGE/STEP"),
        ("hit:/1", "names no stage", "write hit:STAGE/STEP"),
    ],
)
def test_what_cannot_be_meant(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        parse_conditions([text])
    assert message in caught.value.message
    assert (hint or "") in (caught.value.hint or "")


def test_a_stage_that_is_not_built() -> None:
    with pytest.raises(UsageError, match='a stage that is not built: "biuld"') as caught:
        check_stages(parse_conditions(["hit:biuld/1"]), STAGES)
    assert caught.value.hint is not None and "did you mean build?" in caught.value.hint
    check_stages(parse_conditions(["hit:*/1", "hit:0/1", "hit:STAGE-2/1", "time<1s"]), STAGES)


@given(
    st.text(max_size=40)
    | st.tuples(st.sampled_from(METRICS), st.text("<>=!0123456789.smhkKMGiB% ", max_size=12)).map("".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = judge(parse_conditions([text]), FACTS)
    except UsageError as error:
        assert error.message
    else:
        assert found[0].text == text.strip()
