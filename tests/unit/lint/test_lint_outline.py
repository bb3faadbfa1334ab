"""What a file offers: targets, and the outline of one."""

from __future__ import annotations

from builder.buildfile.parse import parse
from builder.graph.resolve import resolve_stages
from builder.image.platform import Platform
from builder.lint.outline import Argument, Need, Outline, Target, list_targets, make_outline

AMD64 = Platform("linux", "amd64")
TEXT = b"""\
# VERSION is for all
ARG VERSION=1
ARG FULL=x$VERSION
ARG UNUSED
# base has the tools
FROM --platform=$BUILDPLATFORM debian:$FULL AS base
# KEY a key
# PORT the port
ARG KEY PORT=80
RUN --mount=type=secret,id=token,required --mount=type=secret,target=/run/$KEY \\
    --mount=type=ssh --mount=type=cache,target=/root/.cache true
# app does it
# more
FROM base AS app
ARG TARGETARCH
ARG OWN=$VERSION.$PORT
RUN --mount=type=ssh,id=deploy,required=true --mount=type=cache,id=go,target=/go true
FROM scratch
COPY --from=app / /
"""


def outline(target: str | None = None, **build_args: str) -> Outline:
    return make_outline(
        resolve_stages(
            parse(TEXT, "F"), target=target, build_args=build_args, platform=AMD64, build_platform=AMD64
        )
    )


def test_targets() -> None:
    assert list_targets(parse(TEXT, "F")) == (
        Target("base", "has the tools", False, "debian:$FULL", "$BUILDPLATFORM", (6, 6)),
        Target("app", "does it", False, "base", "", (14, 14)),
        Target("", "", True, "scratch", "", (18, 18)),
    )


def test_the_outline_of_a_stage() -> None:
    found = outline("app", KEY="k")
    assert (found.name, found.description) == ("app", "does it")
    assert found.args == (
        Argument("VERSION", "1", "is for all", (2, 2)),
        Argument("FULL", "x1", "", (3, 3)),
        Argument("KEY", "k", "a key", (9, 9)),
        Argument("PORT", "80", "the port", (9, 9)),
        Argument("OWN", ".80", "", (16, 16)),
    )
    assert found.secrets == (Need("token", True, (10, 11)), Need("k", False, (10, 11)))
    assert found.ssh == (Need("default", False, (10, 11)), Need("deploy", True, (17, 17)))
    assert found.caches == (Need("/root/.cache", False, (10, 11)), Need("go", False, (17, 17)))


def test_what_other_stages_need_belongs_to_it() -> None:
    assert outline().name == ""
    assert [item.name for item in outline().args] == ["VERSION", "FULL", "KEY", "PORT", "OWN"]
    assert [item.name for item in outline("base").ssh] == ["default"]


def test_values_of_the_caller() -> None:
    found = {item.name: item.value for item in outline("base", VERSION="7", PORT="81").args}
    assert found == {"VERSION": "7", "FULL": "x7", "KEY": "", "PORT": "81"}
    found = {item.name: item.value for item in outline("base", FULL="y").args}
    assert found == {"FULL": "y", "KEY": "", "PORT": "80"}


def of(text: str) -> Outline:
    file = parse(text.encode(), "F")
    return make_outline(
        resolve_stages(file, target=None, build_args={}, platform=AMD64, build_platform=AMD64)
    )


def test_what_triggers_take_is_part_of_the_stage_that_carries_them_out() -> None:
    found = of(
        "FROM scratch AS a\n# X helps\nONBUILD ARG X=1\nONBUILD RUN --mount=type=secret,id=q,required t\n"
        "FROM a AS b\nARG Y=$X\nFROM b\n"
    )
    assert found.args == (Argument("X", "1", "helps", (5, 5)), Argument("Y", "1", "", (6, 6)))
    assert found.secrets == (Need("q", True, (5, 5)),)


def test_of_several_lines_the_last_counts_with_all_that_its_value_needs() -> None:
    text = "ARG A=1\nARG B=2\nARG C=${B}\nARG B=${B}${A}\nFROM scratch\nARG B\nARG I=1\nARG J=${I}2\nARG I=$I$J\n"
    assert [(item.name, item.value, item.lines[0]) for item in of(text).args] == [
        ("A", "1", 1),
        ("B", "21", 4),
        ("J", "12", 8),
        ("I", "112", 9),
    ]
    text = "FROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nENV A=1\nARG A\n"
    assert [(item.name, item.value) for item in of(text).args] == [
        ("BUILDKIT_SBOM_SCAN_STAGE", "true"),
        ("A", ""),
    ]
