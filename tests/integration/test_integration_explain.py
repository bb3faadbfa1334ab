"""`pybuild explain`: builds of the past, the way to the first cause, differences of files."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from test_integration_history import history

import builder
from builder.store.history import BuildStep
from builder.store.store import open_store


@pytest.fixture
def twice(pybuild: Run, context: Path) -> Path:
    """A context that was built, edited, and built again: build 2 has the reasons."""
    (context / "Buildfile").write_text(
        "FROM base AS build\nWORKDIR /app\nCOPY . .\nRUN cat src/a.py > /out\nRUN cat /out > /out2\n"
        "FROM build\nWORKDIR /end\n"
    )
    (context / ".dockerignore").write_text("Buildfile\n.dockerignore\n")
    (context / "src").mkdir()
    (context / "src" / "a.py").write_text("one\ntwo\n")
    (context / "run.sh").write_text("run\n")
    (context / "run.sh").chmod(0o644)
    (context / "gone").write_bytes(b"\0binary")
    (context / "picture").write_bytes(b"\0one")
    pybuild("build", context)
    (context / "src" / "a.py").write_text("one\n2\n")
    (context / "run.sh").chmod(0o755)
    (context / "src" / "b.py").write_text("new \x1b[31m\n")
    (context / "gone").unlink()
    (context / "picture").write_bytes(b"\0two!")
    pybuild("build", context)
    return context


def document(pybuild: Run, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pybuild("explain", "--format", "json", *words).stdout)
    return found


def test_every_miss_of_the_last_build_has_its_cause(pybuild: Run, twice: Path) -> None:
    text = pybuild("explain").stdout
    head, blank, *lines = text.splitlines()
    assert head.startswith("build 2, done: ") and f"Buildfile of {twice}" in head and blank == ""
    assert lines == [
        "#3 [build 3/5] COPY . .: 5 files changed: -gone, picture (content 4 → 5 bytes), run.sh (mode 0644 → 0755), "
        "src/a.py (content 8 → 6 bytes), +src/b.py",
        "#4 [build 4/5] RUN cat src/a.py > /out: because step 3 changed",
        "#5 [build 5/5] RUN cat /out > /out2: because step 4 changed",
        "    it began with #3 [build 3/5] COPY . .",
        "#6 [stage-1 1/1] WORKDIR /end: because step 5 changed",
        "    it began with #3 [build 3/5] COPY . .",
    ]


def test_every_cause_has_its_words(pybuild: Run, context: Path, bases: Path) -> None:
    (context / "Buildfile").write_text("FROM b\nARG VERSION=1.2\nRUN echo $VERSION > /tmp/v\nWORKDIR /w\n")

    def explained(*flags: str, base: str = "base") -> list[str]:
        pybuild("build", "--build-context", f"b=oci-layout://{bases / base}", *flags, context)
        return pybuild("explain").stdout.splitlines()[2:]

    assert [line.partition(": ")[2] for line in explained()[1:]] == ["never built before"] * 2
    assert explained("--build-arg", "VERSION=1.3")[0].endswith(
        "RUN echo 1.3 > /tmp/v: ARG VERSION: 1.2 → 1.3"
    )
    first, *_ = explained(base="base2")
    assert re.fullmatch(r"#1 \[1/3\] FROM b: digest sha256:[0-9a-f]{12} → sha256:[0-9a-f]{12}", first)
    missing = explained("--cache-from", "type=local,src=nosuch", "--no-cache-filter", "WORKDIR /w")
    assert any("the cache was not asked: --no-cache-filter WORKDIR /w" in line for line in missing)
    (context / "Buildfile").write_text("FROM b\nRUN echo another > /tmp/v\n")
    assert any(
        "cache import failed: local nosuch: " in line
        for line in explained("--cache-from", "type=local,src=nosuch")
    )


def test_a_build_of_the_past_is_explained_as_it_was(pybuild: Run, twice: Path) -> None:
    before = pybuild("explain", "2").stdout
    assert "never built before" in pybuild("explain", "1").stdout
    pybuild("build", twice)
    assert "every step was in the cache: 6 hits" in pybuild("explain").stdout
    # Neither the context nor a registry is needed.
    shutil.rmtree(twice)
    assert pybuild("explain", "2").stdout == before


def test_one_step_is_told_in_full(pybuild: Run, twice: Path) -> None:
    by_number = pybuild("explain", "2", "5").stdout
    assert (
        by_number
        == pybuild("explain", "last", "build/5").stdout
        == pybuild("explain", "2", "RUN cat /out").stdout
    )
    lines = by_number.splitlines()[2:]
    assert lines[0] == "#5 [build 5/5] RUN cat /out > /out2" and lines[1].strip().startswith("miss: ")
    assert lines[2].strip() == "because step 4 changed: [build 4/5] RUN cat src/a.py > /out"
    assert lines[4].strip().startswith("└ #4 ") and lines[5].strip().startswith("└ #3 ")
    assert "5 files changed: -gone" in lines[5]


def test_differences_of_text_are_shown_and_others_named(pybuild: Run, twice: Path) -> None:
    text = pybuild("explain", "--diff", "2", "3").stdout
    assert "    --- a/src/a.py\n    +++ b/src/a.py\n    @@ -1,2 +1,2 @@\n     one\n    -two\n    +2\n" in text
    assert "picture: binary: 4 → 5 bytes" in text and "gone: binary: 7 → 0 bytes" in text
    assert "--- /dev/null\n    +++ b/src/b.py" in text
    assert "\x1b" not in text
    assert "a/run.sh" not in text, "its text is the same"


def test_of_a_link_it_is_told_where_it_leads(pybuild: Run, context: Path) -> None:
    """And never what is there, in the image or on this machine."""
    (context / "Buildfile").write_text("FROM base\nCOPY src/ /src/\n")
    (context / "src").mkdir()
    (context / "src" / "a").write_text("text of a\n")
    (context / "src" / "was-file").write_text("once\n")
    (context / "src" / "link").symlink_to("a")
    pybuild("build", context)
    for name, target in (("link", "/etc/hostname"), ("was-file", "a"), ("new", "nowhere")):
        (context / "src" / name).unlink(missing_ok=True)
        (context / "src" / name).symlink_to(target)
    pybuild("build", context)
    (step,) = (one for one in document(pybuild, "--diff")["steps"] if one["differences"])
    assert {one["path"]: one["lines"][3:] for one in step["differences"]} == {
        "src/link": ["-link to a", "+link to /etc/hostname"],
        "src/was-file": ["-once", "+link to a"],
        "src/new": ["+link to nowhere"],
    }


def test_a_name_that_is_shown_escaped_is_said_to_be_not_compared(pybuild: Run, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nCOPY src/ /src/\n")
    (context / "src").mkdir()
    for text in ("one\n", "two\n"):
        (context / "src" / "a\nb").write_text(text)
        pybuild("build", context)
    (step,) = (one for one in document(pybuild, "--diff")["steps"] if one["differences"])
    (difference,) = step["differences"]
    assert difference["path"] == "src/a\\x0ab"
    assert difference["note"].startswith("not compared: its name")


def test_differences_are_from_the_store_and_not_from_the_context(
    pybuild: Run, store: Path, twice: Path
) -> None:
    (twice / "src" / "a.py").write_text("later\n")
    (step,) = (one for one in document(pybuild, "--diff", "2")["steps"] if one["step"] == 3)
    (difference,) = (one for one in step["differences"] if one["path"] == "src/a.py")
    assert difference["lines"][2:] == ["@@ -1,2 +1,2 @@", " one", "-two", "+2"]
    # The old snapshot is gone: the explanation stays, the difference says so.
    with open_store(str(store)) as opened:
        record = opened.records.find(bytes.fromhex(step["compared"]))
        assert record is not None
        state = opened.states.get(record.state)
        assert state is not None
        shutil.rmtree(os.path.join(opened.path, "snapshots", state.snapshot))
    (step,) = (one for one in document(pybuild, "--diff", "2")["steps"] if one["step"] == 3)
    assert {one["note"] for one in step["differences"] if one["path"] != "src/b.py"} == {
        "not in the store any more"
    }
    assert "src/a.py (content" in step["why"]


@pytest.mark.parametrize(
    ("line", "path", "place"),
    [
        ("COPY a.txt /x/", "a.txt", "/x/a.txt"),
        ("COPY a.txt /x", "a.txt", "/x"),
        ("COPY d /x", "d/b.txt", "/x/b.txt"),
        ("COPY d a.txt /x/", "d/b.txt", "/x/b.txt"),
        ("COPY --parents d/b.txt /x/", "d/b.txt", "/x/d/b.txt"),
        ("COPY --link d /x", "d/b.txt", "/x/b.txt"),
    ],
)
def test_files_are_found_where_the_line_puts_them(
    pybuild: Run, context: Path, line: str, path: str, place: str
) -> None:
    (context / "Buildfile").write_text(f"FROM base\n{line}\n")
    (context / "d").mkdir()
    (context / "a.txt").write_text("before\n")
    (context / "d" / "b.txt").write_text("before\n")
    pybuild("build", context)
    (context / path).write_text("after\n")
    pybuild("build", context)
    (step,) = (one for one in document(pybuild, "--diff")["steps"] if "COPY" in one["title"])
    assert [one["path"] for one in step["differences"]] == [path], place
    assert step["differences"][0]["lines"][-2:] == ["-before", "+after"], place


def test_json_has_the_chain_by_number(pybuild: Run, twice: Path) -> None:
    found = document(pybuild)
    assert found["schema"] == 1 and found["build"]["number"] == 2 and found["build"]["misses"] == 4
    chains = {one["step"]: one["chain"] for one in found["steps"]}
    assert chains[3] == [] and chains[4] == [3] and chains[5] == [4, 3]
    assert {one["outcome"] for one in found["steps"]} == {"hit", "miss", "done"}


def test_the_library_explains_too(pybuild: Run, store: Path, twice: Path) -> None:
    found = builder.explain(step="build/4", store=str(store))
    assert [one.step.title for one in found.steps] == ["[build 4/5] RUN cat src/a.py > /out"]
    assert found.steps[0].root.title == "[build 3/5] COPY . ."
    assert builder.explain(-1, store=str(store)).build.number == 1


def test_what_is_not_there_is_an_error_with_a_hint(
    pybuild: Run, store: Path, twice: Path, tmp_path: Path
) -> None:
    done = pybuild("explain", "9", ok=False)
    assert (
        done.returncode == 2 and "there is no build 9" in done.stderr and "the last one is 2" in done.stderr
    )
    done = pybuild("explain", "2", "nosuch", ok=False)
    assert 'has no step "nosuch"' in done.stderr and "[build 3/5] COPY . ." in done.stderr
    done = pybuild("explain", "COPY", "2", ok=False)
    assert "is no number of a build" in done.stderr
    done = pybuild("explain", "--store", tmp_path / "none", ok=False)
    assert "there is no store" in done.stderr and not (tmp_path / "none").exists()
    assert pybuild("explain", "--format", "yaml", ok=False).returncode == 2


def test_explaining_changes_nothing(pybuild: Run, store: Path, twice: Path) -> None:
    before = [(build.number, steps) for build, steps in history(store)]
    names = sorted(
        path.name for path in store.rglob("*") if path.name not in ("pybuild.db-wal", "pybuild.db-shm")
    )
    content = (store / "pybuild.db").read_bytes()
    pybuild("explain", "--diff")
    assert (store / "pybuild.db").read_bytes() == content
    assert names == sorted(
        path.name for path in store.rglob("*") if path.name not in ("pybuild.db-wal", "pybuild.db-shm")
    )
    assert [(build.number, steps) for build, steps in history(store)] == before


def test_a_cause_that_leads_in_a_circle_ends(pybuild: Run, store: Path, twice: Path) -> None:
    import sqlite3

    database = sqlite3.connect(store / "pybuild.db")
    database.execute(
        'UPDATE build_steps SET reasons = \'[["changed","parent","x",5]]\' WHERE build = 2 AND number = 3'
    )
    database.commit()
    database.close()
    steps: list[BuildStep] = list(builder.explain(2, 5, store=str(store)).steps[0].chain)
    assert [step.number for step in steps] == [4, 3]
