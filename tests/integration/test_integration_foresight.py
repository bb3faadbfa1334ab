"""Mistakes anywhere in the build file are told before anything runs, and all together."""

from __future__ import annotations

from pathlib import Path

from conftest import Run


def test_a_mistake_in_a_later_stage_costs_no_step(pybuild: Run, context: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM scratch AS a\nCOPY <<E /f\nx\nE\n"
        "FROM a AS b\nCOPY --chmod=99 f /g\nARG X=\nWORKDIR ${X:?is needed}\nEXPOSE a\n"
        "FROM b\nCOPY --from=b --chmod=zz f /h\n"
    )
    done = pybuild("build", context, ok=False)
    assert done.returncode == 2
    places = [line.partition(": ")[0] for line in done.stderr.splitlines() if ": error: " in line]
    assert places == [f"{context}/Buildfile:{place}" for place in ("6:14", "8:9", "9:8", "11:23")]
    assert "] COPY" not in done.stderr  # no step began
    (context / "Buildfile").write_text("FROM scratch AS a\nCOPY <<E /f\nx\nE\n")
    assert "] COPY" in pybuild("build", context).stderr


def test_a_mistake_that_others_depend_on_is_told_with_those_that_do_not(pybuild: Run, context: Path) -> None:
    (context / "Buildfile").write_text("FROM scratch\nARG A=${NONE:?first}\nWORKDIR ${A:?second}\nEXPOSE x\n")
    done = pybuild("build", context, ok=False)
    assert done.stderr.count("error: ") == 2
    assert "NONE: first" in done.stderr and "invalid port 'x'" in done.stderr
