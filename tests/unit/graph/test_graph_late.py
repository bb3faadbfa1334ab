"""Mistakes in lines that are not carried out: BuildKit never sees them, so that they cost a warning only."""

from __future__ import annotations

import pytest
from trees import AMD64, plan_graph

from builder.buildfile.parse import parse
from builder.errors import BuildFileError
from builder.graph.resolve import resolve_stages


def build(text: str, *, target: str | None = None, all_stages: bool = False, **build_args: str) -> list[str]:
    """Plan the target of a file; gives back the warnings."""
    graph = resolve_stages(
        parse(text.encode(), "f"),
        target=target,
        build_args=build_args,
        platform=AMD64,
        build_platform=AMD64,
        all_stages=all_stages,
    )
    plan_graph(graph)
    return [message for message, _ in graph.warnings]


BROKEN = [
    "ENV A=${b",
    'LABEL "a=b',
    "WORKDIR ${x",
    "VOLUME ${",
    "USER ${x:?no}",
    "EXPOSE x",
    "STOPSIGNAL x",
    "COPY ${x d",
    "COPY --chown=${a b c",
    "COPY --chmod=999 a b",
    "COPY <<E /x\n${a\nE",
    "COPY https://example.org/x /y",
    "ADD --checksum=x a b",
    "ARG A=${",
    "RUN --mount=type=x true",
    "RUN --mount=type=cache,target=${x true",
    "RUN --mount=from=9,target=/x true",
]
"""Lines that stand in the way of a build only if they are carried out."""


@pytest.mark.parametrize("line", BROKEN)
def test_a_stage_that_is_not_built_may_hold_mistakes(line: str) -> None:
    text = f"FROM a AS unused\n{line}\nFROM b\n"
    build(text)
    with pytest.raises(BuildFileError):
        build(text, target="unused")


@pytest.mark.parametrize(
    "line",
    [
        "COPY a",
        "NOSUCH x",
        "RUN --nosuch x",
        "RUN --network=x y",
        "RUN --device=x,y=z true",
        "RUN --device=x,required=2 true",
        "RUN --mount=from=$A,target=/x true",
        "HEALTHCHECK --interval=x CMD y",
        "COPY --from=$x a b",
        "COPY --from=9 a b",
        "COPY --from=Up a b",
    ],
)
def test_some_mistakes_count_in_any_stage(line: str) -> None:
    with pytest.raises(BuildFileError):
        build(f"FROM a AS unused\n{line}\nFROM b\n")


@pytest.mark.parametrize("base", ["Upper", "a:@", "${a", "$none", "--platform=x/y/z/w a"])
def test_the_base_of_any_stage_has_to_be_a_name(base: str) -> None:
    with pytest.raises(BuildFileError) as caught:
        build(f"FROM {base} AS unused\nFROM b\n")
    assert caught.value.location is not None
    assert caught.value.location.line == 1


def test_a_mistake_that_does_no_harm_is_told() -> None:
    assert build("FROM a AS unused\nENV A=${b\nFROM b\n") == [
        "bad substitution: the closing brace } is missing (this stage is not built)"
    ]


@pytest.mark.parametrize(
    "trigger", ["NOSUCH x", "COPY x", "COPY --nosuch a b", "ENV", "ENV a=${b", "LABEL =b", "HEALTHCHECK x"]
)
def test_a_trigger_that_nobody_runs_may_be_anything(trigger: str) -> None:
    text = f"FROM a AS parent\nONBUILD {trigger}\n"
    (warning,) = build(text)
    assert warning.endswith("(a build that runs this trigger will fail)")
    assert build(text + "FROM b\n") == [warning]
    with pytest.raises(BuildFileError) as caught:
        build(text + "FROM parent\n")
    assert caught.value.location is not None
    assert caught.value.location.line == 2


def test_a_default_that_nobody_reads_may_be_anything() -> None:
    for text in ("FROM a\nARG A=${\n", "ARG A=${\nFROM a\n"):
        assert build(text, A="1") == [
            "bad substitution: ${ needs the name of a variable (--build-arg A takes its place)"
        ]
        with pytest.raises(BuildFileError):
            build(text)


def test_all_mistakes_of_the_stages_that_are_built_come_at_once() -> None:
    with pytest.raises(BuildFileError) as caught:
        build("FROM a AS one\nENV A=${b\nFROM a AS unused\nENV A=${b\nFROM one\nUSER ${\n")
    found = [caught.value, *caught.value.others]
    assert [error.location.line for error in found if error.location] == [2, 6]


def test_a_check_sees_all_stages() -> None:
    with pytest.raises(BuildFileError):
        build("FROM a AS unused\nENV A=${b\nFROM b\n", all_stages=True)


def test_empty_and_odd_names_are_taken_as_buildkit_does() -> None:
    assert build("FROM a\nLABEL $X=1\nENV $X=2\n") == []
