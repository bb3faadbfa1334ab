"""`pybuild verify`: steps run twice, and what they make differently is named."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

import builder
from builder.engine import verify as verifying
from builder.engine.request import Output


@pytest.fixture
def verify(bases: Path, context: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Verifies the context's build file by the library; the steps' findings."""
    monkeypatch.setattr(verifying, "_TICK", 0.0)

    def run(text: str, *steps: str, **options: Any) -> tuple[Any, ...]:
        (context / "Buildfile").write_text(text)
        result = builder.build(
            str(context),
            store=str(store),
            build_contexts={"base": f"oci-layout://{bases / 'base'}"},
            outputs=[Output("cacheonly")],
            verify=steps,
            **options,
        )
        return result.verified

    return run


def told(step: Any) -> list[tuple[str, str, str]]:
    return [(one.path, one.kind, one.detail) for one in step.differences]


# What changes from run to run: a new number each time, of one digit more or less never.
NEXT = "n=$(head -c 8 /dev/urandom | md5sum | cut -c1-8)"


def test_steps_that_give_the_same(verify: Any) -> None:
    found = verify(
        "FROM base\nRUN echo a > /a; ln -s a /b; mkdir /d\nCOPY Buildfile /\nRUN rm -r /home; chmod 600 /a\n"
    )
    assert [(step.title, step.reproducible, step.total) for step in found] == [
        ("[2/4] RUN echo a > /a; ln -s a /b; mkdir /d", True, 0),
        ("[4/4] RUN rm -r /home; chmod 600 /a", True, 0),
    ]


def test_every_field(verify: Any) -> None:
    """Which run it is, a cache mount tells: what the first leaves there the second finds."""
    (step,) = verify(
        "FROM base\nRUN --mount=type=cache,target=/c echo x >> /c/count; set -e; n=$(wc -l < /c/count); mkdir /d /o;"
        " echo line > /text; echo $n >> /text; head -c 9 /dev/urandom > /bytes; printf '\\0' >> /bytes;"
        " touch /mode /owner /one /e; chmod 60$((n % 2 * 4)) /mode; chown $n /owner;"
        " ln -s to$n /link; if [ $((n % 2)) = 0 ]; then mkdir /type /only; rm /etc/group; ln /one /two; mv /opt /opt2; mkdir /opt;"
        " else touch /type /first; cp /one /two; rm -rf /opt; mkdir /opt; echo > /etc/group; fi\n"
    )  # fmt: skip
    found = {(path, kind): detail for path, kind, detail in told(step)}
    # The build was the first, so that these runs are the second and third.
    assert found.pop(("/owner", "owner")) == "2:0 → 3:0"
    assert found.pop(("/mode", "mode")) == "0600 → 0604"
    assert found.pop(("/link", "target")) == "to2 → to3"
    assert found.pop(("/type", "type")) == "folder → file"
    assert found.pop(("/etc/group", "type")) == "removal → file"
    assert found.pop(("/first", "second-only")) == "file" and found.pop(("/only", "first-only")) == "folder"
    assert found.pop(("/two", "link")) == ""
    assert found.pop(("/opt2", "first-only")) == "folder"
    by_path = {one.path: one for one in step.differences if one.kind == "content"}
    assert list(by_path["/text"].lines)[-3:] == [" line", "-2", "+3"]
    assert by_path["/bytes"].note == "binary: 10 → 10 bytes" and not by_path["/bytes"].lines
    del found["/text", "content"], found["/bytes", "content"]
    assert not found, found
    assert step.total == len(step.differences) and not step.reproducible


def test_times_count_where_they_are_in_the_image(verify: Any) -> None:
    text = "FROM base\nRUN touch -d @$(od -An -N3 -tu4 /dev/urandom | tr -d ' ') /f\n"
    assert verify(text)[0].reproducible
    (step,) = verify(text, reproducible=True)
    assert [(one.path, one.kind) for one in step.differences] == [("/f", "time")]


def test_chosen_steps(verify: Any, context: Path) -> None:
    (context / "f").write_text("f")
    text = (
        f"FROM base AS one\nRUN {NEXT}; echo $n > /a\nRUN true\nCOPY f /f\nFROM one AS two\nRUN {NEXT}; echo $n > /b\n"
        "FROM one\nRUN false\n"
    )
    chosen = {"target": "two"}
    assert [step.line for step in verify(text, **chosen)] == [2, 3, 6]
    assert [step.line for step in verify(text, "one", **chosen)] == [2, 3]
    assert [(step.line, step.reproducible) for step in verify(text, "two/1", "RUN true", **chosen)] == [
        (3, True),
        (6, False),
    ]
    (copied,) = verify(text, "COPY f", **chosen)
    assert copied.reproducible and copied.title.endswith("COPY f /f")
    with pytest.raises(builder.BuilderError, match='no step "nosuch" to verify'):
        verify(text, "nosuch", **chosen)
    for nothing in ("", " "):  # a variable that is not set chooses no step, rather than each
        with pytest.raises(builder.BuilderError, match=f'no step "{nothing}" to verify'):
            verify(text, nothing, **chosen)


def test_a_step_that_fails_the_second_time(verify: Any) -> None:
    (step,) = verify(
        "FROM base\nRUN --mount=type=cache,target=/c test $(ls /c | wc -l) -lt 2; touch /c/$(date +%s%N)$$; mkdir /c/x 2>/dev/null || mkdir /c/y\n"
    )
    assert "the second run failed" in step.error and not step.reproducible


def test_text_that_a_secret_may_be_in_is_not_shown(verify: Any) -> None:
    (step,) = verify(
        f"FROM base\nRUN --mount=type=secret,id=s {NEXT}; cat /run/secrets/s > /leak; echo $n >> /leak\n",
        secrets={"s": b"hush"},
    )
    (one,) = step.differences
    assert (one.kind, one.lines) == ("content", ()) and "secret" in one.note


def test_odd_names(verify: Any) -> None:
    (step,) = verify(
        f"FROM base\nRUN {NEXT}; mkdir '/back\\slash'; echo $n > \"$(printf '/back\\\\slash/a\\nb\\377')\"\n"
    )
    (one,) = step.differences
    assert one.path.startswith("/back\\x5cslash/a\\x0ab") and len(one.lines) == 5


def _rows(store: Path) -> dict[str, int]:
    database = sqlite3.connect(store / "pybuild.db")
    return {
        table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("records", "states", "layers")
    }


def test_nothing_of_it_stays_in_the_cache(verify: Any, store: Path, context: Path, bases: Path) -> None:
    text = f"FROM base\nRUN {NEXT}; echo $n > /a\nRUN echo b > /b\n"
    (context / "Buildfile").write_text(text)
    named = {"base": f"oci-layout://{bases / 'base'}"}
    built = builder.build(str(context), store=str(store), build_contexts=named)
    rows, snapshots = _rows(store), sorted(os.listdir(store / "snapshots"))
    verify(text)
    assert _rows(store) == rows
    assert sorted(os.listdir(store / "snapshots")) == snapshots and os.listdir(store / "runs") == []
    assert builder.build(str(context), store=str(store), build_contexts=named).digest == built.digest


def test_the_command(pybuild: Run, context: Path, bases: Path) -> None:
    (context / "Buildfile").write_text(f"FROM base\nRUN {NEXT}; echo $n > /a\nRUN true\n")
    named = ["--build-context", f"base=oci-layout://{bases / 'base'}"]
    done = pybuild("verify", *named, context, ok=False)
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert lines[0].startswith("NOT REPRODUCIBLE  [2/3] RUN") and lines[0].endswith(": 1 difference")
    assert (
        lines[1] == "    /a: content"
        and lines[3].startswith("        -")
        and lines[4].startswith("        +")
    )
    assert lines[-1].startswith("reproducible  [3/3] RUN true")
    assert "error: not reproducible: 1 of 2 steps" in done.stderr
    done = pybuild("verify", "--format", "json", "--step", "RUN true", *named, context)
    document = json.loads(done.stdout)
    assert document["schema"] == 1 and document["reproducible"] is True
    assert [step["title"] for step in document["steps"]] == ["[3/3] RUN true"]
    document = json.loads(pybuild("verify", "--format=json", "--step=2", *named, context, ok=False).stdout)
    assert document["steps"][0]["differences"][0]["kind"] == "content" and document["steps"][0]["total"] == 1
    assert pybuild("verify", "--step", "nosuch", *named, context, ok=False).returncode == 2
    assert pybuild("verify", "--format", "xml", *named, context, ok=False).returncode == 2
    (context / "Buildfile").write_text("FROM base\nRUN false\n")
    assert pybuild("verify", *named, context, ok=False).returncode == 1
    (context / "Buildfile").write_text("FROM base\n")
    assert "no RUN" in pybuild("verify", *named, context).stdout
