"""The cache from outside: what hits, what misses and why, what runs at once, what two builds share."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import DEADLINE, PYBUILD, Run


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def report(pybuild: Run, context: Path, *flags: str, ok: bool = True) -> dict[str, Any]:
    path = context.parent / "report.json"
    path.unlink(missing_ok=True)
    pybuild("build", "--report", path, *flags, context, ok=ok)
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def outcomes(document: dict[str, Any]) -> list[str]:
    return [step["outcome"] for step in document["steps"] if step["outcome"] != "done"]


def reasons(document: dict[str, Any], title: str) -> list[str]:
    (step,) = (step for step in document["steps"] if title in step["title"])
    return [reason["detail"] for reason in step["reasons"]]


def test_a_second_build_hits_every_step_and_gives_the_same_image(pybuild: Run, context: Path) -> None:
    write(context, Buildfile="FROM base\nRUN date +%N > /now\nCOPY a /a\nWORKDIR /w\nENV X=1\n", a="a")
    first = report(pybuild, context)
    second = report(pybuild, context)
    assert outcomes(first)[1:] == ["miss", "miss", "miss"]
    assert outcomes(second) == ["hit"] * 4
    assert first["image"] == second["image"]
    assert all(step["reasons"][0]["kind"] == "first-build" for step in first["steps"][1:4])


def test_one_edited_file_misses_from_its_step_on_and_is_named(pybuild: Run, context: Path) -> None:
    lines = [
        "FROM base",
        "COPY lib /lib2",
        "RUN echo lib",
        "COPY src /src",
        "RUN cat /src/* > /all",
        "ENV LAST=1",
    ]
    write(context, Buildfile="\n".join(lines), lib__x="x", src__a="a", src__b="b", src__c="c")
    report(pybuild, context)
    (context / "src" / "a").write_text("A")
    (context / "src" / "b").unlink()
    (context / "src" / "c").chmod(0o600)
    (context / "src" / "d").write_text("d")
    second = report(pybuild, context)
    assert outcomes(second) == ["hit", "hit", "hit", "miss", "miss"]
    assert reasons(second, "COPY src") == ["src/a (content)", "-src/b", "src/c (mode 0644 → 0600)", "+src/d"]
    assert reasons(second, "RUN cat") == ["because step 4 changed: [4/5] COPY src /src"]


def test_an_argument_that_changed_is_named(pybuild: Run, context: Path) -> None:
    write(context, Buildfile="FROM base\nARG VERSION=1\nRUN echo $VERSION > /v\n")
    report(pybuild, context)
    changed = report(pybuild, context, "--build-arg", "VERSION=2")
    assert reasons(changed, "RUN") == ["ARG VERSION: 1 → 2"]
    assert outcomes(report(pybuild, context, "--build-arg", "VERSION=1")) == ["hit", "hit"]


def test_a_base_that_changed_is_the_reason(pybuild: Run, context: Path) -> None:
    write(context, Buildfile="ARG B=base\nFROM $B\nRUN echo x > /tmp/x\n")
    report(pybuild, context)
    changed = report(pybuild, context, "--build-arg", "B=base2")
    assert reasons(changed, "FROM base2") == ["base → base2"]
    assert reasons(changed, "RUN echo x >")[-1].startswith("because step 2 changed: [2/4] ONBUILD RUN")


def test_an_equal_result_keeps_later_steps_hits(pybuild: Run, context: Path) -> None:
    write(
        context,
        Buildfile="FROM base\nCOPY in /in\nRUN head -c 3 /in > /out && rm /in\nRUN sleep 0 && cp /out /copy\n",
        **{"in": "abc one"},
    )
    report(pybuild, context)
    (context / "in").write_text("abc two")
    second = report(pybuild, context)
    # The whole file is hidden again by the step that read it; what later steps see is the layers below too, so that only
    # a step whose own result is the same as before on the same parent can be hit.
    assert outcomes(second)[1:3] == ["miss", "miss"]
    write(context, Buildfile="FROM base\nRUN echo same > /f # one\nRUN cp /f /g\n")
    report(pybuild, context)
    write(context, Buildfile="FROM base\nRUN echo same > /f # two\nRUN cp /f /g\n")
    assert outcomes(report(pybuild, context)) == ["hit", "miss", "hit"]


def test_a_stage_with_an_equal_file_keeps_the_copy_a_hit(pybuild: Run, context: Path) -> None:
    file = "FROM base AS build\nCOPY src /src\nRUN head -c 3 /src > /program\nFROM base\nCOPY --from=build /program /p\nRUN true\n"
    write(context, Buildfile=file, src="abc one")
    report(pybuild, context)
    (context / "src").write_text("abc two")
    second = report(pybuild, context)
    by_title = {
        step["title"].split("] ")[1].split()[0] + step["stage"]: step["outcome"]
        for step in second["steps"][:-1]
    }
    assert by_title["COPYbuild"] == by_title["RUNbuild"] == "miss"
    assert [step["outcome"] for step in second["steps"] if "--from=build" in step["title"]] == ["hit"]


def test_a_file_touched_but_not_changed_is_a_hit(pybuild: Run, context: Path) -> None:
    write(context, Buildfile="FROM base\nCOPY f /f\n", f="f")
    report(pybuild, context)
    os.utime(context / "f", (1, 1))
    assert outcomes(report(pybuild, context)) == ["hit", "hit"]


def test_an_edit_of_equal_size_and_time_is_noticed(pybuild: Run, context: Path) -> None:
    write(context, Buildfile="FROM base\nCOPY f /f\n", f="one")
    report(pybuild, context)
    stat = (context / "f").stat()
    (context / "f").write_text("two")
    os.utime(context / "f", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert outcomes(report(pybuild, context)) == ["hit", "miss"]


def test_what_has_not_changed_is_not_read_again(
    pybuild: Run, context: Path, tmp_path: Path, bases: Path
) -> None:
    write(
        context,
        Buildfile="FROM base\nCOPY . /all\n",
        **{f"d__file{number}": str(number) for number in range(50)},
    )
    time.sleep(0.1)  # files that are younger than a clock tick are rightly read once more
    pybuild("build", context)
    trace = tmp_path / "trace"
    line = ["strace", "-f", "-o", str(trace), "-e", "trace=open,openat,openat2", *PYBUILD, "build"]
    line += ["--build-context", f"base=oci-layout://{bases / 'base'}", str(context)]
    env = dict(os.environ, PYBUILD_STORE=str(tmp_path / "store"))
    done = subprocess.run(line, env=env, check=True, capture_output=True, text=True)
    assert done.stderr.count("CACHED") == 2
    text = trace.read_text()
    assert '"d"' in text, "the trace does not show the walk"
    assert "file1" not in text


def test_config_instructions_invalidate_nothing(pybuild: Run, context: Path) -> None:
    write(context, Buildfile="FROM base\nLABEL a=1\nRUN echo x > /x\n")
    report(pybuild, context)
    write(context, Buildfile='FROM base\nLABEL a=2\nEXPOSE 80\nRUN echo x > /x\nCMD ["x"]\n')
    assert outcomes(report(pybuild, context)) == ["hit", "hit"]


def test_no_cache_runs_again_and_keeps_the_result(pybuild: Run, context: Path) -> None:
    write(context, Buildfile="FROM base\nRUN head -c 9 /dev/urandom > /random\n")
    first = report(pybuild, context)
    second = report(pybuild, context, "--no-cache")
    third = report(pybuild, context)
    assert outcomes(second) == ["hit", "miss"]
    assert reasons(second, "RUN") == ["the cache was not asked: --no-cache"]
    assert first["image"] != second["image"] == third["image"]


def test_unused_stages_do_not_run_and_independent_ones_run_at_once(pybuild: Run, context: Path) -> None:
    # Each waits for the other, which one after the other could not.
    meet = "RUN --mount=type=cache,target=/meet touch /meet/{0} /{0}; n=0; until [ -e /meet/{1} ]; do sleep 0.1; n=$((n+1)); [ $n -lt 3000 ] || exit 1; done\n"
    file = (
        f"FROM base AS one\n{meet.format('one', 'two')}FROM base AS two\n{meet.format('two', 'one')}"
        "FROM base AS unused\nRUN false\nFROM base\nCOPY --from=one /one /\nCOPY --from=two /two /\n"
    )
    write(context, Buildfile=file)
    document = report(pybuild, context, "--jobs", "2")
    assert not any("unused" in step["stage"] for step in document["steps"])


def test_two_builds_at_once_run_a_step_once(pybuild: Run, context: Path, tmp_path: Path, bases: Path) -> None:
    write(context, Buildfile="FROM base\nRUN sleep 0.5 && head -c 8 /dev/urandom | od -A n -t x > /random\n")
    env = dict(os.environ, PYBUILD_STORE=str(tmp_path / "store"))
    line = [*PYBUILD, "build", "-q", "--build-context", f"base=oci-layout://{bases / 'base'}", str(context)]
    builds = [
        subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)
    ]
    answers = {build.communicate(timeout=DEADLINE) for build in builds}
    assert all(build.returncode == 0 for build in builds), answers
    assert len(answers) == 1, "a step that four builds needed at once ran more than once"


@pytest.mark.parametrize("target", ["one", "two"])
def test_target(pybuild: Run, context: Path, target: str) -> None:
    write(context, Buildfile="FROM base AS one\nLABEL n=one\nFROM base AS two\nLABEL n=two\nFROM scratch\n")
    pybuild("build", "--target", target, "-t", "app", context)
    (found,) = json.loads(pybuild("inspect", "app").stdout)
    assert found["Config"]["Labels"] == {"n": target}
