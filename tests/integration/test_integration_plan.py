"""`pybuild plan`: what a build would do, without doing it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

import builder
from builder.engine.planning import Verdict
from builder.events import StepFinished, StepStarted

FILE = """FROM base AS build
ARG V=1
WORKDIR /app
COPY src src
RUN cat src/a > /out
RUN echo $V > /v
FROM base
COPY --from=build /out /out
COPY other /other
"""


@pytest.fixture
def planned(pybuild: Run, context: Path) -> Path:
    (context / "Buildfile").write_text(FILE)
    (context / "src").mkdir()
    (context / "src" / "a").write_text("1")
    (context / "other").write_text("o")
    return context


@pytest.fixture
def plan(pybuild: Run, bases: Path) -> Run:
    """Runs `pybuild plan` with the contexts that `pybuild build` has."""

    def run(*args: str | Path, **options: Any) -> Any:
        contexts = [f"--build-context={name}=oci-layout://{bases / name}" for name in ("base", "base2")]
        return pybuild("plan", *contexts, *args, **options)

    return run


def verdicts(plan: Run, *args: str | Path) -> dict[str, str]:
    document = json.loads(plan("--format", "json", *args).stdout)
    return {step["title"].partition("] ")[2] or step["title"]: step["verdict"] for step in document["steps"]}


def whys(plan: Run, *args: str | Path) -> dict[str, str]:
    document = json.loads(plan("--format", "json", *args).stdout)
    return {step["title"].partition("] ")[2] or step["title"]: step["why"] for step in document["steps"]}


def content(store: Path) -> dict[str, str]:
    """All that a store holds: files by name and digest, the database row by row."""
    found = {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not path.name.startswith("pybuild.db")
        and "locks" not in path.parts
    }
    database = sqlite3.connect(store / "pybuild.db")
    found["rows"] = "\n".join(database.iterdump())
    database.close()
    return found


def test_without_a_store_everything_would_be_built_and_none_is_made(
    plan: Run, planned: Path, store: Path
) -> None:
    found = verdicts(plan, planned)
    assert found["FROM base"] == "miss" and found["COPY src src"] == "miss"
    assert set(found.values()) <= {"miss", "depends"}
    assert not store.exists()


def test_a_plan_foretells_what_the_build_then_does(
    pybuild: Run, plan: Run, planned: Path, store: Path
) -> None:
    pybuild("build", planned)
    assert set(verdicts(plan, planned).values()) == {"hit"}
    (planned / "src" / "a").write_text("2")
    found = verdicts(plan, planned)
    assert found == {
        "FROM base": "hit",
        "WORKDIR /app": "hit",
        "COPY src src": "miss",
        "RUN cat src/a > /out": "depends",
        "RUN echo 1 > /v": "depends",
        "COPY --from=build /out /out": "depends",
        "COPY other /other": "depends",
    }
    reasons = whys(plan, planned)
    assert reasons["COPY src src"] == "1 file changed: src/a (content)"
    text = plan(planned).stdout
    assert "miss" in text and "1 file changed: src/a (content)" in text and "depends on step 3" in text
    assert text.splitlines()[-1].startswith("3 hits, 1 miss, 4 that depend on others: at most ")
    pybuild("build", planned)
    assert set(verdicts(plan, planned).values()) == {"hit"}


def test_a_step_whose_own_parts_changed_misses_whatever_comes_before(
    pybuild: Run, plan: Run, planned: Path
) -> None:
    pybuild("build", planned)
    (planned / "src" / "a").write_text("2")
    found = whys(plan, "--build-arg", "V=2", planned)
    assert found["RUN echo 2 > /v"].startswith("command: ") or found["RUN echo 2 > /v"] == "ARG V: 1 → 2"
    assert verdicts(plan, "--build-arg", "V=2", planned)["RUN echo 2 > /v"] == "miss"


def test_a_plan_changes_nothing(pybuild: Run, plan: Run, planned: Path, store: Path) -> None:
    pybuild("build", planned)
    (planned / "src" / "a").write_text("2")
    (planned / "new").write_text("not read before")
    (planned / "Buildfile").write_text(
        FILE.replace("COPY other", "COPY new other").replace("/other", "/other/")
    )
    before = content(store)
    plan(planned)
    plan("--no-cache", "--target", "build", "--build-arg", "V=3", planned)
    plan("--pull", planned)
    assert content(store) == before
    assert sorted(path.name for path in (store / "runs").iterdir()) == []


def test_a_base_that_the_store_has_not_is_not_pulled(
    plan: Run, pybuild: Run, context: Path, store: Path
) -> None:
    (context / "Buildfile").write_text("FROM scratch\nWORKDIR /x\n")
    pybuild("build", context)
    (context / "Buildfile").write_text("FROM 127.0.0.1:1/none:1\nRUN echo $PATH ${X:?}\nCOPY Buildfile /\n")
    before = content(store)
    document = json.loads(plan("--format", "json", context).stdout)
    assert document["steps"][0]["verdict"] == "miss" and document["steps"][0]["why"] == "not in the store yet"
    assert {step["verdict"] for step in document["steps"][1:]} <= {"miss", "depends"}
    assert content(store) == before


def test_what_lies_elsewhere_is_not_asked(plan: Run, pybuild: Run, context: Path, store: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nADD http://127.0.0.1:1/file /f\nRUN true\n")
    found = whys(plan, context)
    assert found["ADD http://127.0.0.1:1/file /f"] == "only a build asks what is at http://127.0.0.1:1/file"
    done = plan("https://127.0.0.1:1/repository.git", ok=False)
    assert done.returncode == 2 and "a plan fetches nothing" in done.stderr


def test_fail_if_build_is_a_condition(pybuild: Run, plan: Run, planned: Path) -> None:
    done = plan("--fail-if-build", planned, ok=False)
    assert done.returncode == 3 and "error: not everything is cached" in done.stderr
    pybuild("build", planned)
    assert plan("--fail-if-build", planned).stderr == ""
    (planned / "other").write_text("x")
    assert plan("--fail-if-build", planned, ok=False).returncode == 3


def test_a_step_of_two_stages_would_be_carried_out_once(pybuild: Run, plan: Run, context: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM scratch AS one\nCOPY a /a\nFROM scratch AS two\nCOPY a /a\n"
        "FROM scratch\nCOPY --from=one /a /1\nCOPY --from=two /a /2\n"
    )
    (context / "a").write_text("1")
    pybuild("build", context)
    (context / "a").write_text("2")
    steps = json.loads(plan("--format", "json", context).stdout)["steps"]
    first, second = [step for step in steps if "COPY a /a" in step["title"]]
    assert (first["verdict"], second["verdict"]) == ("miss", "depends")
    assert [reason["step"] for reason in second["reasons"]] == [first["step"]]


def test_times_are_those_of_the_last_run(pybuild: Run, plan: Run, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nCOPY a /a\nRUN sleep 0.3; cat /a > /b\n")
    (context / "a").write_text("1")
    pybuild("build", context)
    (context / "a").write_text("2")
    document = json.loads(plan("--format", "json", context).stdout)
    run = document["steps"][2]
    assert run["verdict"] == "depends" and 0.3 <= run["seconds"] < 60
    assert document["seconds"] >= run["seconds"]


def test_a_plan_says_what_no_cache_would_do(pybuild: Run, plan: Run, planned: Path) -> None:
    pybuild("build", planned)
    found = verdicts(plan, "--no-cache-filter", "build/4", planned)
    assert found["COPY src src"] == "hit" and found["RUN cat src/a > /out"] == "miss"
    assert whys(plan, "--no-cache", planned)["WORKDIR /app"] == "the cache was not asked: --no-cache"


def test_flags_of_a_build_are_accepted(pybuild: Run, plan: Run, planned: Path) -> None:
    pybuild("build", planned)
    plan("-t", "a:1", "--progress", "plain", "--push", "--output", "type=oci,dest=x.tar", planned)
    assert not Path("x.tar").exists()


def test_mistakes_of_the_build_file_are_told(plan: Run, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nCOPY --from=nosuch:1/x a /\nRUM x\n")
    done = plan(context, ok=False)
    assert done.returncode == 2 and "unknown instruction: RUM" in done.stderr


def test_the_library_plans_too(pybuild: Run, planned: Path, store: Path, bases: Path) -> None:
    contexts = {"base": f"oci-layout://{bases / 'base'}"}
    pybuild("build", planned)
    found = builder.plan(str(planned), store=str(store), build_contexts=contexts)
    assert found.cached and [step.number for step in found.steps] == list(range(1, len(found.steps) + 1))
    assert all(step.seconds is not None for step in found.steps[1:4])


def test_plans_come_true(planned: Path, store: Path, bases: Path) -> None:
    """Random edits: a hit hits, a miss misses, and what depends does one of both."""
    chance = random.Random(7)
    contexts = {"base": f"oci-layout://{bases / 'base'}"}
    verdicts = set()
    for _ in range(int(os.environ.get("PYBUILD_TEST_PLANS", "8"))):
        kind = chance.randrange(4)
        if kind == 0:
            (planned / "src" / "a").write_text(str(chance.randrange(3)))
        elif kind == 1:
            (planned / "other").write_text(str(chance.randrange(3)))
        elif kind == 2:
            (planned / "src" / f"more-{chance.randrange(2)}").write_text(str(chance.randrange(2)))
        more: dict[str, Any] = {"build_args": {"V": str(chance.randrange(3))}, "build_contexts": contexts}
        if kind == 3:
            more["no_cache_filter"] = ["build/5"]
        foretold = builder.plan(str(planned), store=str(store), **more)
        events: list[object] = []
        builder.build(str(planned), store=str(store), on_event=events.append, **more)
        titles = {event.step: event.title for event in events if isinstance(event, StepStarted)}
        done = {
            titles[event.step]: event.outcome.value for event in events if isinstance(event, StepFinished)
        }
        for step in foretold.steps:
            verdicts.add(step.verdict)
            if step.verdict is not Verdict.DEPENDS:
                assert done[step.title] == step.verdict.value, (kind, step, done)
        assert {step.title for step in foretold.steps} == {title for title in done if title.startswith("[")}
    assert verdicts == {Verdict.HIT, Verdict.MISS, Verdict.DEPENDS}


def test_a_plan_refuses_what_a_build_refuses(pybuild: Run, plan: Run, context: Path) -> None:
    """A RUN without the caller's consent, also one that is in the cache."""
    (context / "Buildfile").write_text("FROM base\nRUN --network=host true\n")
    refused = pybuild("build", context, ok=False)
    told = plan("--fail-if-build", context, ok=False)
    assert told.returncode == refused.returncode == 1
    assert told.stderr in refused.stderr
    assert "--allow network.host" in told.stderr and told.stdout == ""
    assert verdicts(plan, "--allow", "network.host", context)["RUN --network=host true"] == "miss"
    pybuild("build", "--allow", "network.host", context)
    plan("--fail-if-build", "--allow", "network.host", context)
    assert plan("--fail-if-build", context, ok=False).returncode == 1


def test_a_plan_warns_of_filters_that_mean_nothing(plan: Run, planned: Path) -> None:
    told = plan("--no-cache-filter", "biuld", "--no-cache-filter", "RUN cat src/a > /out", planned).stderr
    assert told == "warning: --no-cache-filter biuld: no stage or step is called so; did you mean build?\n"


def test_no_path_of_this_machine_is_in_a_plan_or_in_progress(
    pybuild: Run, plan: Run, planned: Path, tmp_path: Path
) -> None:
    document = json.loads(plan("--format", "json", planned).stdout)
    assert document["steps"][1]["slot"] == "Buildfile\nbuild\nWorkdirStep"
    assert str(tmp_path) not in json.dumps(document)
    shown = pybuild("build", "--progress", "rawjson", ".", cwd=planned).stderr.splitlines()
    slots = {event["slot"] for event in map(json.loads, shown) if event.get("slot")}
    assert slots >= {"Buildfile\nbuild\nFROM", "Buildfile\n1\nCOPY"}
    assert str(tmp_path) not in "".join(shown)
