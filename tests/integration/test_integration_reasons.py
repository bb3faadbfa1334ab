"""Why steps miss: what changed, the step that is the cause, other bases, records that were pruned."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from conftest import Run
from test_integration_history import history

from builder.store.history import BuildStep
from builder.store.store import open_store


def last(store: Path) -> list[BuildStep]:
    """The steps of the newest build."""
    return history(store)[-1][1]


def details(step: BuildStep) -> list[str]:
    return [reason.detail for reason in step.reasons]


def find(steps: list[BuildStep], text: str) -> BuildStep:
    (found,) = (step for step in steps if text in step.title)
    return found


def test_no_step_of_a_first_build_is_compared_with_another_of_the_same_build(
    pybuild: Run, store: Path, context: Path
) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN echo 1\nRUN echo 2 > /2\n")
    pybuild("build", context)
    assert [details(step) for step in last(store)[1:3]] == [["never built before"]] * 2


def test_a_step_names_the_one_above_that_changed_and_leads_to_the_first(
    pybuild: Run, store: Path, context: Path
) -> None:
    (context / "Buildfile").write_text("FROM base\nCOPY a /a\nRUN cat /a > /b\nRUN cat /b > /c\n")
    (context / "a").write_text("1")
    pybuild("build", context)
    (context / "a").write_text("2")
    pybuild("build", context)
    steps = last(store)
    copy, first, second = find(steps, "COPY"), find(steps, "cat /a"), find(steps, "cat /b")
    assert details(copy) == ["a (content)"] and copy.reasons[0].step == 0
    assert details(first) == [f"because step {copy.number} changed: [2/4] COPY a /a"]
    assert first.reasons[0].step == copy.number and second.reasons[0].step == first.number
    assert len(copy.compared) == 16 and copy.compared != copy.key


def test_a_step_is_compared_with_its_own_earlier_run_however_many_others_there_are(
    pybuild: Run, store: Path, context: Path
) -> None:
    many = "".join(f"RUN echo {number}\n" for number in range(3))
    (context / "Buildfile").write_text(f"FROM base\nARG V=1\nRUN echo x$V > /x\n{many}")
    pybuild("build", context)
    pybuild("build", "--build-arg", "V=2", context)
    assert details(find(last(store), "echo x2")) == ["ARG V: 1 → 2"]


def test_the_digest_of_a_base_that_changed_is_told(
    pybuild: Run, store: Path, context: Path, bases: Path
) -> None:
    (context / "Buildfile").write_text("FROM b\nWORKDIR /there\n")
    pybuild("build", "--build-context", f"b=oci-layout://{bases / 'base'}", context)
    before = last(store)[0].digest
    pybuild("build", "--build-context", f"b=oci-layout://{bases / 'base2'}", context)
    steps = last(store)
    after = steps[0].digest
    assert before != after and after.startswith("sha256:")
    assert details(steps[0]) == [f"digest {before[:19]} → {after[:19]}"]
    assert steps[0].reasons[0].part == "base b"
    pybuild("build", "--build-context", f"b=oci-layout://{bases / 'base2'}", context)
    assert last(store)[0].reasons == ()
    # In the store by now: a hit, and another than in the build before all the same.
    pybuild("build", "--build-context", f"b=oci-layout://{bases / 'base'}", context)
    assert last(store)[0].outcome == "hit"
    assert details(last(store)[0]) == [f"digest {after[:19]} → {before[:19]}"]


def test_another_reference_of_a_base_is_told(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN echo x > /tmp/x\n")
    pybuild("build", context)
    (context / "Buildfile").write_text("FROM base2\nRUN echo x > /tmp/x\n")
    pybuild("build", context)
    steps = last(store)
    assert details(steps[0]) == ["base → base2"]
    assert find(steps, "RUN echo x").reasons[-1].step > 0


def test_files_of_a_stage_that_changed_lead_to_its_step(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM base AS one\nARG V=1\nRUN mkdir /o && echo $V > /o/v\n"
        "FROM scratch\nCOPY --from=one /o /o\n"
        "FROM base AS two\nRUN --mount=from=one,source=/o,target=/m cat /m/v > /v\n"
        "FROM base\nCOPY --from=two /v /v\nCOPY --from=1 /o /o\n"
    )
    pybuild("build", context)
    pybuild("build", "--build-arg", "V=2", context)
    steps = last(store)
    run = find(steps, "RUN mkdir")
    copy = find(steps, "COPY --from=one")
    assert [(reason.detail, reason.step) for reason in copy.reasons] == [
        ("o/v (content)", 0),
        (f"because step {run.number} changed: {run.title}", run.number),
    ]
    mounted = find(steps, "RUN --mount")
    assert [(reason.part, reason.detail, reason.step) for reason in mounted.reasons] == [
        ("mount bind /m file v", "mount /m: v (content)", 0),
        ("mount bind /m", f"because step {run.number} changed: {run.title}", run.number),
    ]


def test_a_step_that_another_stage_has_too_is_carried_out_once_and_is_the_cause_in_both(
    pybuild: Run, store: Path, context: Path
) -> None:
    (context / "Buildfile").write_text(
        "FROM base AS one\nCOPY src /src\nRUN cat /src/a > /one\n"
        "FROM base AS two\nCOPY src /src\nRUN cat /src/a > /two\n"
        "FROM base\nCOPY --from=one /one /\nCOPY --from=two /two /\n"
    )
    (context / "src").mkdir()
    for text in ("1", "2", "3", "4"):
        (context / "src" / "a").write_text(text)
        pybuild("build", context)
        copies = [step for step in last(store) if "COPY src" in step.title]
        assert sorted(step.outcome for step in copies) == ["hit", "miss"]
        if text == "1":
            continue
        # Whichever stage was first: it is compared with the last run, and both commands lead to it.
        (made,) = (step for step in copies if step.outcome == "miss")
        assert details(made) == ["src/a (content)"]
        for command in ("cat /src/a > /one", "cat /src/a > /two"):
            (reason,) = find(last(store), command).reasons
            assert reason.step == made.number
        # Two lines that copy to one place are each compared with their own last run.
        for name in ("one", "two"):
            (reason, *_) = find(last(store), f"COPY --from={name}").reasons
            assert reason.detail == f"{name} (content)"


def test_waiting_for_another_stage_is_no_time_of_a_step(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM base AS slow\nRUN sleep 1 && echo x > /x\nFROM base AS copied\nCOPY --from=slow /x /x\n"
        "FROM base\nRUN --mount=from=slow,target=/m cat /m/x > /y\nCOPY --from=copied /x /x\n"
    )
    pybuild("build", context)
    steps = last(store)
    slow = find(steps, "sleep")
    assert slow.seconds >= 1
    # They began when that one ended: what is told of them is their end without their own seconds.
    for step in (find(steps, "[copied 2/2] COPY"), find(steps, "--mount")):
        assert step.started >= slow.started + 1


def test_a_step_that_gave_the_same_result_says_so_and_is_no_cause(
    pybuild: Run, store: Path, context: Path
) -> None:
    (context / "Buildfile").write_text(
        "FROM base\nCOPY a /src/\nRUN wc -l < /src/a > /n; rm /src/a\nRUN cat /n > /m\n"
    )
    (context / "Buildfile").write_text("FROM base\nARG V=1\nRUN echo same > /x\nRUN cat /x > /y\nCOPY a /a\n")
    (context / "a").write_text("1")
    pybuild("build", context)
    (context / "a").write_text("2")
    done = pybuild("build", "--build-arg", "V=2", context)
    steps = last(store)
    ran, after, copy = find(steps, "echo same"), find(steps, "cat /x"), find(steps, "COPY")
    assert ran.outcome == "miss" and ran.same and details(ran) == ["ARG V: 1 → 2"]
    # The variable is in the key of the next step too, which gives the same result as well.
    assert after.same and [reason.part for reason in after.reasons] == ["arg V"]
    assert details(copy) == ["a (content)"] and not copy.same
    assert "same result as before: no later step is rebuilt for it" in done.stderr


def test_a_record_that_was_pruned_is_the_reason(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nCOPY a /a\nRUN cat /a > /b\n")
    (context / "a").write_text("1")
    pybuild("build", context)
    with open_store(str(store)) as opened:
        keys = [step.key for step in opened.history.steps(1) if step.key]
        opened.evictions.note(keys, when=86400.0 * 365)
    database = sqlite3.connect(store / "pybuild.db")
    database.execute("DELETE FROM records")
    database.commit()
    database.close()
    pybuild("build", context)
    steps = last(store)
    assert details(find(steps, "COPY")) == ["evicted by prune on 1971-01-01 00:00 UTC"]
    assert find(steps, "COPY").reasons[0].kind == "evicted"
    # What a pruned record depended on is remembered: another file is a changed file, not a step that was never built.
    with open_store(str(store)) as opened:
        keys = [step.key for step in steps if step.key]
        opened.evictions.note(keys)
    database = sqlite3.connect(store / "pybuild.db")
    database.execute("DELETE FROM records")
    database.commit()
    database.close()
    (context / "a").write_text("2")
    pybuild("build", context)
    assert details(find(last(store), "COPY")) == ["a (content)"]


def test_a_state_that_was_there_before_leads_to_what_is_another_now(
    pybuild: Run, store: Path, context: Path
) -> None:
    (context / "Buildfile").write_text("FROM base\nCOPY a /a\nRUN echo 1 > /1\n")
    (context / "a").write_text("1")
    pybuild("build", context)
    (context / "a").write_text("2")
    (context / "Buildfile").write_text("FROM base\nCOPY a /a\nRUN echo 2 > /2\n")
    pybuild("build", context)
    # COPY hits with the first file again; the RUN was built on the other only.
    (context / "a").write_text("1")
    pybuild("build", context)
    steps = last(store)
    copy, run = find(steps, "COPY"), find(steps, "RUN")
    assert copy.outcome == "hit" and run.outcome == "miss"
    assert run.reasons[-1].detail in (
        f"because step {copy.number} changed: {copy.title}",
        "command: 'echo 1 > /1' → 'echo 2 > /2'",
    )


@pytest.mark.parametrize("flags", [["--no-cache"]])
def test_a_cache_that_was_not_asked_is_the_reason(
    pybuild: Run, store: Path, context: Path, flags: list[str]
) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN echo x > /x\n")
    pybuild("build", context)
    pybuild("build", *flags, context)
    assert [reason.kind for reason in find(last(store), "RUN").reasons] == ["no-cache"]


def test_the_cache_is_not_asked_for_steps_that_are_named(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM base AS one\nRUN echo a > /a\nRUN echo b, > /b\nFROM base AS two\nRUN echo c > /c\nCOPY --from=one /b /b\n"
    )
    pybuild("build", context)

    def built(*flags: str) -> list[str]:
        done = pybuild("build", *flags, context)
        assert "is called so" not in done.stderr
        return sorted(step.title[:9] for step in last(store) if step.outcome == "miss")

    assert built("--no-cache-filter", "one/3") == ["[one 3/3]"]
    assert details(find(last(store), "echo b,")) == ["the cache was not asked: --no-cache-filter one/3"]
    assert built("--no-cache-filter", "RUN echo c > /c") == ["[two 2/3]", "[two 3/3]"]
    assert built("--no-cache-filter", "TWO") == ["[two 2/3]", "[two 3/3]"]
    assert built("--no-cache-filter", "[one 2/3]") == ["[one 2/3]", "[one 3/3]"]
    done = pybuild("build", "--no-cache-filter", "on", context)
    assert "--no-cache-filter on: no stage or step is called so; did you mean one?" in done.stderr


def test_a_step_of_a_lone_stage_is_called_by_its_number(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN echo a > /a\nRUN echo b > /b\n")
    pybuild("build", context)
    pybuild("build", "--no-cache-filter", "3", context)
    assert [step.title for step in last(store) if step.outcome == "miss"] == ["[3/3] RUN echo b > /b"]


def test_pruning_leaves_its_day_as_the_reason(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nCOPY a /a\nRUN cat /a > /b\n")
    (context / "a").write_text("1")
    pybuild("build", "--output", "type=cacheonly", context)
    pybuild("prune", "--all", "--force")
    pybuild("build", "--output", "type=cacheonly", context)
    found = details(find(last(store), "COPY"))
    assert len(found) == 1 and found[0].startswith("evicted by prune on 20"), found
    assert details(find(last(store), "FROM")) == ["not in the store any more"]
    assert "evicted by prune on 20" in pybuild("explain").stdout


def test_what_came_with_another_base_began_with_that(
    pybuild: Run, store: Path, context: Path, bases: Path
) -> None:
    """A trigger is a new line, but nobody wrote it: the base is what changed."""
    (context / "Buildfile").write_text("FROM base\nRUN echo a > /tmp/a\n")
    pybuild("build", context)
    pybuild("build", "--build-context", f"base=oci-layout://{bases / 'base2'}", context)
    steps = last(store)
    trigger, base = find(steps, "ONBUILD"), find(steps, "FROM base")
    assert details(trigger) == ["never built before", f"because step {base.number} changed: {base.title}"]
    assert base.reasons[0].detail.startswith("digest sha256:")
    assert f"it began with #{base.number} " in pybuild("explain").stdout.splitlines()[-1]


def test_a_step_that_makes_nothing_is_no_cause(pybuild: Run, store: Path, context: Path) -> None:
    """Though it ran again, as what it stands on is another. One that begins to make something is a cause."""
    (context / "Buildfile").write_text(
        "FROM base AS one\nCOPY a /a\nRUN true\nARG V=1\nRUN test $V = 1 || touch /x\nFROM base\nCOPY --from=one / /one\n"
    )
    for text in ("1", "2"):
        (context / "a").write_text(text)
        pybuild("build", context)
    steps = last(store)
    assert find(steps, "RUN true").outcome == find(steps, "RUN test").outcome == "miss"
    assert details(find(steps, "COPY --from"))[0] == "a (content)"
    assert find(steps, "COPY --from").reasons[-1].step == find(steps, "COPY a").number
    pybuild("build", "--build-arg", "V=2", context)
    steps = last(store)
    assert details(find(steps, "COPY --from"))[0] == "+x"
    assert find(steps, "COPY --from").reasons[-1].step == find(steps, "RUN test").number
