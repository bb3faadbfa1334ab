"""Steps that are cached as a comment above them says."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from conftest import Run
from test_integration_reasons import details, find, last


def made(store: Path, seconds: float) -> None:
    """Make all records so much older."""
    database = sqlite3.connect(store / "pybuild.db")
    database.execute("UPDATE records SET created = created - ?", (seconds,))
    database.commit()
    database.close()


def built(store: Path) -> list[str]:
    """The texts of the steps of the last build that were carried out."""
    return [step.title.partition("] ")[2] for step in last(store) if step.outcome == "miss"]


def test_a_step_that_is_never_cached_runs_each_time_and_cuts_off_what_follows(
    pybuild: Run, store: Path, context: Path
) -> None:
    (context / "Buildfile").write_text(
        "FROM base\n# pybuild: cache=never\nRUN echo same > /x\nRUN cat /x > /y\n"
    )
    pybuild("build", context)
    done = pybuild("build", context)
    assert built(store) == ["RUN echo same > /x"]
    step = find(last(store), "echo same")
    assert details(step) == ["cache=never stands above it"] and step.same
    assert "same result as before: no later step is rebuilt for it" in done.stderr
    assert "same result as before: no later step is rebuilt for it" in pybuild("explain").stdout


def test_a_step_that_is_never_cached_and_gives_another_result_is_a_cause(
    pybuild: Run, store: Path, context: Path
) -> None:
    (context / "Buildfile").write_text(
        "FROM base\n# pybuild: cache=never\nRUN cat /proc/sys/kernel/random/uuid > /x\nRUN cat /x > /y\n"
    )
    pybuild("build", context)
    pybuild("build", context)
    assert len(built(store)) == 2
    assert find(last(store), "cat /x").reasons[0].step == 2


def test_a_result_expires(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM base\n# pybuild: expires=24h\nRUN echo x > /x\n# pybuild: expires=2w\nCOPY a /a\n"
    )
    (context / "a").write_text("a")
    pybuild("build", context)
    pybuild("build", context)
    assert built(store) == []
    made(store, 23 * 3600)
    pybuild("build", context)
    assert built(store) == []
    made(store, 2 * 3600)
    pybuild("build", context)
    assert built(store) == ["RUN echo x > /x"]
    (why,) = details(find(last(store), "RUN"))
    assert why.startswith("expired: made 20") and why.endswith(", and expires=1d stands above it")
    assert find(last(store), "RUN").same
    # It was made anew just now.
    pybuild("build", context)
    assert built(store) == []
    # The clock was set back: what seems to come from the future counts.
    made(store, -30 * 86400)
    pybuild("build", context)
    assert built(store) == []


def test_the_output_of_a_command_decides(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM base\nARG WHICH=1\nWORKDIR /srv\nCOPY version /srv/\n"
        '# pybuild: recheck="cat version; touch /trace; echo noise >&2; pwd; echo $WHICH"\n'
        "RUN test ! -e /trace && echo x > /x\n"
    )
    (context / "version").write_text("1.2\n")
    pybuild("build", context)
    done = pybuild("build", context)
    assert built(store) == [] and "noise" in done.stderr
    database = sqlite3.connect(store / "pybuild.db")
    text = "".join(row[0] for row in database.execute("SELECT parts FROM records"))
    database.close()
    assert '["recheck","cat version; touch /trace; echo noise >&2; pwd; echo $WHICH","sha256:' in text
    pybuild("build", "--build-arg", "WHICH=2", context)
    assert any(reason.part.startswith("recheck ") for reason in find(last(store), "RUN").reasons)


def test_another_output_is_the_reason(pybuild: Run, store: Path, context: Path) -> None:
    # What the command sees beside the files of the step: here the hosts that the build adds.
    (context / "Buildfile").write_text(
        'FROM base\n# pybuild: recheck="grep -c there /etc/hosts || true"\nRUN echo x > /x\n'
    )
    pybuild("build", "--add-host", "there:127.0.0.1", context)
    pybuild("build", "--add-host", "there:127.0.0.2", context)
    assert built(store) == []
    (context / "Buildfile").write_text(
        'FROM base\n# pybuild: recheck="grep there /etc/hosts | cut -c-9"\nRUN echo x > /x\n'
    )
    pybuild("build", "--add-host", "there:127.0.0.1", context)
    pybuild("build", "--add-host", "there:128.0.0.1", context)
    assert details(find(last(store), "RUN")) == [
        "output of grep there /etc/hosts | cut -c-9: '127.0.0.1' → '128.0.0.1'"
    ]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo gone wrong >&2; exit 3", "exit code: 3"),
        ("head -c 2000000 /dev/zero", "writes more than 1048576 bytes"),
    ],
)
def test_a_command_that_fails_fails_the_step(pybuild: Run, context: Path, command: str, message: str) -> None:
    (context / "Buildfile").write_text(f'FROM base\n# pybuild: recheck="{command}"\nRUN echo x\n')
    done = pybuild("build", context, ok=False)
    assert done.returncode == 1
    assert "Buildfile:3:1: error: recheck: " in done.stderr and message in done.stderr


def test_a_plan_knows_what_comments_say_and_runs_no_command(
    pybuild: Run, store: Path, context: Path, bases: Path
) -> None:
    (context / "Buildfile").write_text(
        "FROM base\n# pybuild: expires=1h\nRUN echo 1 > /1\n# pybuild: cache=never\nRUN echo 2 > /2\n"
        '# pybuild: recheck="exit 9"\nRUN echo 3 > /3\n'
    )
    assert pybuild("build", context, ok=False).returncode == 1
    made(store, 7200)
    text = pybuild("plan", f"--build-context=base=oci-layout://{bases / 'base'}", context).stdout
    assert "expired: made" in text and "cache=never stands above it" in text
    assert "depends on what it says now: exit 9" in text
