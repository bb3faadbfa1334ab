"""What RUN --mount shows of other stages, images and contexts: it counts as far as it is below the mount's source."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from conftest import Run
from test_integration_keys import Builds
from test_integration_reasons import details, find, last

MOUNT = "RUN --mount=type=bind,from=s,source=/d"
CHANGES = (
    ("echo x > /beside", "hit"),
    ("touch -d @1000 /d/f", "hit"),
    ("echo more >> /d/deep/g", "miss"),
    ("chmod 755 /d/f", "miss"),
    ("chown 7:8 /d/f", "miss"),
    ("chmod 700 /d", "miss"),
    ("ln -sfn f /d/l", "miss"),
    ("ln /d/f /d/h", "miss"),
    ("rm /d/f", "miss"),
    ("touch /d/new", "miss"),
)


@pytest.mark.parametrize("kind", ["type=bind", "type=bind,rw", "type=cache"])
def test_what_of_the_files_counts(bases: Path, tmp_path: Path, kind: str) -> None:
    """What counts for COPY and in BuildKit: path, type, mode, owner, content, target, links, and no times."""
    builds = Builds(bases, tmp_path)
    text = (
        "FROM base AS s\nRUN mkdir -p /d/deep && echo f > /d/f && echo g > /d/deep/g && ln -s deep /d/l && chmod 644 /d/f\n"
        f"RUN {{}}\nFROM base\nRUN --mount={kind},from=s,source=/d,target=/m ls -lR /m > /seen\n"
    )
    assert builds.last(text.format("true")) == "miss"
    found = [(change, builds.last(text.format(change))) for change, _ in CHANGES]
    assert found == list(CHANGES)


def test_files_that_a_mount_shows_are_named_with_the_step_that_is_the_cause(
    pybuild: Run, store: Path, context: Path
) -> None:
    (context / "Buildfile").write_text(
        "FROM base AS s\nCOPY src /w/src\nCOPY other /w/other\nFROM base\n"
        f"{MOUNT.replace('/d', '/w/src')},target=/src --mount=source=ctx,target=/c cat /src/* /c/* > /seen\n"
    )
    for name in ("src/a.c", "src/b.c", "other/o", "ctx/c"):
        (context / name).parent.mkdir(exist_ok=True)
        (context / name).write_text("1")
    pybuild("build", context)
    (context / "other/o").write_text("2")
    pybuild("build", context)
    assert find(last(store), "RUN").outcome == "hit"
    (context / "src/a.c").write_text("2")
    pybuild("build", context)
    run, copy = find(last(store), "RUN"), find(last(store), "COPY other")
    assert [(one.kind, one.part, one.detail, one.step) for one in run.reasons] == [
        ("changed", "mount bind /src file a.c", "mount /src: a.c (content)", 0),
        ("changed", "mount bind /src", f"because step {copy.number} changed: {copy.title}", copy.number),
    ]
    assert ": mount /src: 1 file changed: a.c (content); because step" in pybuild("explain").stdout
    (context / "ctx/c").write_text("22")
    (context / "ctx/new").write_text("")
    pybuild("build", context)
    assert details(find(last(store), "RUN")) == ["mount /c: c (content 1 → 2 bytes)", "mount /c: +new"]
    text = pybuild("explain", "--format", "json").stdout
    why = [step["why"] for step in json.loads(text)["steps"] if "RUN" in step["title"]]
    assert why == ["mount /c: 2 files changed: c (content 1 → 2 bytes), +new"]


def test_a_plan_knows_what_mounts_show(pybuild: Run, store: Path, context: Path, bases: Path) -> None:
    base = f"--build-context=base=oci-layout://{bases / 'base'}"

    def plan() -> dict[str, tuple[str, str]]:
        found = json.loads(pybuild("plan", "--format", "json", base, context).stdout)["steps"]
        return {step["title"].split("] ")[1].split()[0]: (step["verdict"], step["why"]) for step in found}

    text = (
        "FROM base AS s\nRUN mkdir /d && echo {} > /d/f && echo {} > /g\nFROM base\n"
        f"{MOUNT},target=/m --mount=source=ctx,target=/c cat /m/f /c/f > /seen\n"
    )
    (context / "ctx").mkdir()
    (context / "ctx/f").write_text("1")
    for words in (("1", "1"), ("2", "2"), ("1", "2")):
        (context / "Buildfile").write_text(text.format(*words))
        pybuild("build", context)
    # The stage is one that was built before, whose mount was never seen with these files of the context.
    (context / "Buildfile").write_text(text.format("2", "2"))
    assert plan()["RUN"] == ("hit", "")
    (context / "ctx/f").write_text("2")
    assert plan()["RUN"] == ("miss", "mount /c: 1 file changed: f (content)")
    before = sorted(path.name for path in (store / "listings").rglob("*"))
    assert plan()["RUN"][0] == "miss"
    assert sorted(path.name for path in (store / "listings").rglob("*")) == before


def test_a_cache_that_begins_with_files_is_the_same_while_they_are(
    pybuild: Run, context: Path, tmp_path: Path
) -> None:
    def seen(given: str, beside: str, command: str) -> list[str]:
        (context / "Buildfile").write_text(
            f"FROM base AS s\nRUN mkdir /d && touch /d/{given} && touch /{beside}\nFROM base AS a\n"
            f"RUN --mount=type=cache,id=c,target=/c,from=s,source=/d ls /c > /seen; touch /c/{command}\n"
            "FROM scratch\nCOPY --from=a /seen /\n"
        )
        pybuild("build", "-o", tmp_path / "out", context)
        return (tmp_path / "out" / "seen").read_text().split()

    assert seen("one", "x", "first") == ["one"]
    assert seen("one", "y", "second") == ["first", "one"]
    assert seen("two", "y", "third") == ["two"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("from=s,source=/none,target=/m", '"/none" is not in the stage or image that the mount is from'),
        ("from=s,source=/d*,target=/m", '"/d*" is not in the stage or image that the mount is from'),
        ("source=ct?,target=/m", '"/ct?" is not in the build context'),
        ("from=lib,source=none,target=/m", '"/none" is not in the context "lib"'),
        (
            "type=cache,from=s,source=/etc/passwd,target=/m",
            'the source "/etc/passwd" of a cache mount is no folder',
        ),
        ("from=s,source=/d/loop,target=/m", '"d/loop" leads in a circle of links in the stage'),
    ],
)
def test_a_source_that_is_not_there(
    pybuild: Run, context: Path, tmp_path: Path, flags: str, message: str
) -> None:
    for folder in ("context/ctx", "lib"):
        (tmp_path / folder).mkdir()
    (context / "Buildfile").write_text(
        f"FROM base AS s\nRUN mkdir /d && ln -s loop /d/loop\nFROM base\nRUN --mount={flags} true\n"
    )
    done = pybuild("build", "--build-context", f"lib={tmp_path / 'lib'}", context, ok=False)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    assert "Buildfile:4:" in done.stderr


def test_links_of_a_mount_are_followed_where_its_files_are(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM base AS s\nARG V=1\nRUN mkdir -p /v/1 /v/2 && ln -s ../v/1 /v/now && echo $V > /v/2/f\n"
        "FROM base\nRUN --mount=from=s,source=/v/now,target=/m ls /m > /seen\n"
    )
    pybuild("build", context)
    pybuild("build", "--build-arg", "V=2", context)
    assert find(last(store), "RUN --mount").outcome == "hit"


def test_the_files_of_a_state_are_read_once(pybuild: Run, store: Path, context: Path) -> None:
    """And a build whose mounts are of the stage as it was reads none of them, and asks the database no more."""
    text = "FROM base AS s\nRUN mkdir /d && head -c 1000000 /dev/zero > /d/f\nFROM base\n" + MOUNT
    report = context.parent / "report.json"

    def read(line: str) -> int:
        (context / "Buildfile").write_text(f"{text},target=/m {line}\n")
        pybuild("build", "--report", report, context)
        found: int = json.loads(report.read_text())["traffic"]["hashed"]
        return found

    assert read("true") >= 1000000
    assert read("true") == 0
    assert read("echo another > /x") < 100000
    with sqlite3.connect(store / "pybuild.db") as database:
        assert database.execute("SELECT path, portable FROM contents").fetchall() == [("/d", 0)]
    pybuild("prune", "--all", "--force")
    with sqlite3.connect(store / "pybuild.db") as database:
        assert database.execute("SELECT count(*) FROM contents").fetchone() == (0,)


def test_listings_of_mounts_are_shared_and_go_with_the_last_record(
    pybuild: Run, store: Path, context: Path
) -> None:
    """Two lines that are shown the same have one listing, which stays while one of their records does."""

    def listings() -> int:
        return sum(not path.is_dir() for path in (store / "listings").rglob("*"))

    line = "RUN --mount=source=src,target=/m cat /m/f > /{}\n"
    (context / "src").mkdir()
    (context / "src/f").write_text("1")
    (context / "Buildfile").write_text("FROM base\n" + line.format(1) + line.format(2))
    pybuild("build", context)
    assert listings() == 1
    (context / "src/f").write_text("2")
    pybuild("build", "-t", "kept", context)
    assert listings() == 2
    pybuild("prune", "--force")
    assert listings() == 1
    (context / "src/f").write_text("3")
    pybuild("build", context)
    assert details(find(last(store), "> /1")) == ["mount /m: f (content)"]
