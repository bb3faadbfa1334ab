"""`pybuild report`: the builds of a store, one of them, their trend, in all formats, and soon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest

from builder.events import LayerSize, Outcome, Reason, StageNode
from builder.report.past import past_report
from builder.report.trend import flaky_sentence, trend_of
from builder.store.details import Detail
from builder.store.history import Build, BuildStep
from builder.store.store import open_store
from tests.conftest import DEADLINE, PYBUILD, ROOT, Run

SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with four builds that copy a version that always changes, the third of which failed, and one of another kind."""
    folder = tmp_path_factory.mktemp("past")
    context = folder / "context"
    (context / "src").mkdir(parents=True)
    (context / "src" / "big").write_text("x" * 5000)
    (context / "Buildfile").write_text(
        "FROM scratch AS tools\nCOPY fixed /fixed\nFROM scratch\nCOPY src/ /src/\nCOPY --from=tools /fixed /fixed\n"
    )
    (context / "fixed").write_text("f")
    line = [*PYBUILD, "build", "-q", "--store", str(folder / "store"), "-t", "shop/app:1"]
    for number in range(1, 5):
        (context / "src" / "version.txt").write_text(str(number))
        (context / "fixed").rename(context / "gone") if number == 3 else None
        more = ["--report", str(folder / "report.json"), "--require", "hits>=0", "--require", "misses<1"]
        subprocess.run([*line, *more, str(context)], capture_output=True, cwd=ROOT)
        (context / "gone").rename(context / "fixed") if number == 3 else None
    subprocess.run([*line, "--target", "tools", str(context)], check=True, capture_output=True, cwd=ROOT)
    return folder


@pytest.fixture
def report(built: Path, pybuild: Run):  # type: ignore[no-untyped-def]
    return lambda *words, **more: pybuild("report", "--store", built / "store", *words, **more)


def test_the_list(report, built: Path) -> None:  # type: ignore[no-untyped-def]
    head, *rows = report().stdout.splitlines()
    assert head.split() == ["BUILD", "WHEN", "RESULT", "CACHED", "TIME", "SAVED", "SIZE", "WHAT"]
    assert [row.split()[0] for row in rows] == ["5", "4", "3", "2", "1"]
    assert rows[0].endswith("shop/app:1 (tools)")
    assert " failed " in rows[2] and " 2/4 " not in rows[0]
    assert len(report("--limit", "2").stdout.splitlines()) == 3
    document = json.loads(report("--format", "json", "--all").stdout)
    assert [build["build"] for build in document["builds"]] == [5, 4, 3, 2, 1]
    assert document["builds"][1]["hits"] == 1 and document["builds"][1]["size"] > 0


def test_one_build(report) -> None:  # type: ignore[no-untyped-def]
    text = report("4").stdout
    assert text.startswith("build 4, done: ")
    for part in (
        "src/version.txt (content)",
        "done: 3 steps: 1 hit, 2 misses",
        "layers: 2, ",
        "bytes: ",
        "required: hits>=0: met: 1",
        "required: misses<1: not met: 2",
    ):
        assert part in text, part
    failed = report("3").stdout
    assert failed.startswith("build 3, failed: ") and "error: " in failed and '"fixed"' in failed
    assert report("--last").stdout.startswith("build 5, ") and report("last").stdout.startswith("build 5, ")


def test_a_past_build_in_every_format(report, built: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    document = json.loads(report("4", "--format", "json").stdout)
    jsonschema.validate(document, SCHEMA)
    # It is what the build itself wrote.
    written = json.loads((built / "report.json").read_text())
    for old, new in zip(written["steps"], document["steps"], strict=True):
        assert old == new
    for field in (
        "build",
        "image",
        "names",
        "layers",
        "stages",
        "conditions",
        "hits",
        "misses",
        "traffic",
        "file",
    ):
        assert written[field] == document[field], field
    assert "### What was rebuilt, and why" in report("4", "--format", "type=markdown").stdout
    assert ET.fromstring(report("3", "--format", "junit").stdout).get("failures") == "1"
    assert report("4", "--format", "github").stdout.count("::notice ") == 2
    assert "The last 4 builds" in report("4", "--format", "html").stdout
    names = [tmp_path / "a.html", tmp_path / "b.json"]
    assert report("4", "--report", names[0], "--report", names[1]).stdout == ""
    assert "missed 2 of 2 times, always because of src/version.txt" in names[0].read_text()
    assert json.loads(names[1].read_text())["build"] == 4


def test_the_trend(report) -> None:  # type: ignore[no-untyped-def]
    text = report("4", "--trend").stdout
    assert text.startswith("4 builds of one kind, 1 to 4\n")
    assert "missed 2 of 2 times, always because of src/version.txt" in text
    assert "without a result: 3" in text
    document = json.loads(report("4", "--trend", "--format", "json").stdout)
    assert [build["build"] for build in document["builds"]] == [1, 2, 3, 4]
    (flaky,) = [one for one in document["flaky"] if one["text"] == "COPY src/ /src/"]
    assert (flaky["runs"], flaky["misses"]) == (2, 2)
    assert flaky["causes"] == [{"part": "file src/version.txt", "misses": 2}]
    assert report("--trend").stdout.startswith("1 build of one kind, 5 to 5\n")


def test_what_failed_has_no_size_and_what_never_began_is_no_build(
    pybuild: Run, context: Path, tmp_path: Path
) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN --network=host true\n")
    pybuild("build", "--allow", "network.host", context)
    for words in (["--require", "hit:nowhere/1"], []):  # a mistake, and no consent
        assert pybuild("build", *words, context, ok=False).returncode in (1, 2)
    assert len(pybuild("report").stdout.splitlines()) == 2
    (context / "Buildfile").write_text("FROM base\nCOPY nothing /\n")
    pybuild("build", context, ok=False)
    cached, _, size, failed = pybuild("report", "--trend").stdout.splitlines()[2:6]
    assert "now 0%" in cached or "now 100%" in cached
    assert "now 0 B" not in size and " 0 B to" not in size and failed == "without a result: 2"
    pybuild("report", "--report", tmp_path / "page.html", "--last")
    assert "<figcaption><span>size of the image</span><b>–</b>" in (tmp_path / "page.html").read_text()
    # Of a build that fails in its first step nobody can say what share came from the cache.
    (context / "Buildfile").write_text("FROM nowhere.invalid/x\n")
    pybuild("build", context, ok=False)
    assert pybuild("report", "--trend").stdout.splitlines()[2] == cached.replace("  now", "   now")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["99"], "the history has no build 99"),
        (["nine"], "BUILD needs a number"),
        (["4", "--last"], "cannot both be meant"),
        (["--format", "pdf"], 'there is no "pdf"'),
        (["--trend", "--format", "junit"], "a trend is written as text or json"),
        (["--limit", "0"], "--limit needs a number"),
    ],
)
def test_mistakes(report, words: list[str], message: str) -> None:  # type: ignore[no-untyped-def]
    done = report(*words, ok=False)
    assert done.returncode == 2 and message in done.stderr


def test_a_store_without_builds(pybuild: Run) -> None:
    pybuild("images")
    assert len(pybuild("report").stdout.splitlines()) == 1
    done = pybuild("report", "--last", ok=False)
    assert done.returncode == 2 and "has no builds" in done.stderr


def step(number: int, text: str, outcome: Outcome, *reasons: Reason, slot: str = "RUN") -> BuildStep:
    return BuildStep(
        number,
        f"f\nbuild\n{slot}",
        f"[build {number}/9] {text}",
        "build",
        number,
        outcome,
        1e9,
        2.0,
        reasons=reasons,
    )


def test_who_is_to_blame(store: Path) -> None:
    """Ten builds: nine times the version changed, once more also another file; later steps only followed."""
    version, other = Reason("changed", "file v", "v (content)"), Reason("changed", "file o", "o (content)")
    follow = Reason("changed", "parent", "because step 2 changed", 2)
    with open_store(str(store)) as opened:
        for build in range(12):
            first = build == 0
            missed = 0 < build < 11
            causes = (version, other) if build == 5 else (version,)
            steps = [
                step(1, "WORKDIR /x", Outcome.HIT),
                step(2, "COPY . /x", Outcome.MISS, *((Reason("first-build", "", ""),) if first else causes))
                if missed or first
                else step(2, "COPY . /x", Outcome.HIT),
                step(3, "RUN make", Outcome.MISS, *((Reason("first-build", "", ""),) if first else (follow,)))
                if missed or first
                else step(3, "RUN make", Outcome.HIT),
            ]
            opened.history.add(Build(1e9 + build, 5.0, "done", file="f", context="c"), steps)
        # A build of another kind does not count.
        opened.history.add(
            Build(1e9, 5.0, "done", file="g", context="c"), [step(2, "COPY . /x", Outcome.MISS, other)]
        )
        trend = trend_of(opened, 12)
        assert [point.build for point in trend.points] == list(range(1, 13))
        by_text = {flaky.text: flaky for flaky in trend.flaky}
        assert set(by_text) == {"COPY . /x", "RUN make"}
        assert by_text["RUN make"].causes == (("file v", 10), ("file o", 1))
        assert flaky_sentence(by_text["RUN make"]) == "missed 10 of 11 times, always because of v"
        assert by_text["RUN make"].seconds == 20.0
        assert [point.build for point in trend_of(opened, 12, limit=3).points] == [10, 11, 12]
        assert past_report(opened, 13).file == "g"


def test_a_command_that_names_an_argument_is_one_step_whatever_its_value(store: Path) -> None:
    with open_store(str(store)) as opened:
        for build in range(1, 6):
            version = Reason("changed", "arg VERSION", f"ARG VERSION: {build - 1} → {build}")
            first = Reason("first-build", "", "never built before")
            steps = [
                step(1, f"RUN echo {build}", Outcome.MISS, first if build == 1 else version),
                step(2, "RUN make", Outcome.HIT),
            ]
            opened.history.add(Build(1e9 + build, 5.0, "done", file="f", context="c"), steps)
        (flaky,) = trend_of(opened, 5).flaky
        assert flaky.text == "RUN echo 5"
        assert flaky_sentence(flaky) == "missed 4 of 4 times, always because of arg VERSION"


MODULES = "import sys; from builder.cli.main import main; status = main({line!r}); print(len([m for m in sys.modules if m.startswith('builder')]), sorted(set(sys.modules) & {heavy!r}), file=sys.stderr); raise SystemExit(status)"
HEAVY = {
    "rich",
    "jinja2",
    "lark",
    "urllib3",
    "dataclasses",
    "inspect",
    "typing",
    "hashlib",
    "subprocess",
    "socket",
    "ssl",
}


def test_it_starts_soon_on_a_long_history(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 builds of 50 steps: what is read and imported does not grow with them."""
    detail = Detail(
        stages=(StageNode(0, "build", "base"),),
        layers=tuple(LayerSize(f"{number:032x}", f"sha256:{number:064x}", 1000) for number in range(50)),
    )
    follow = (Reason("changed", "parent", "because step 31 changed", 31),)
    cause = (Reason("changed", "file src/version.txt", "src/version.txt (content)"),)
    with open_store(str(store)) as opened:
        for build in range(1000):
            steps = [
                step(
                    number,
                    f"RUN make {number}",
                    Outcome.MISS if number > 30 and build % 3 == 0 else Outcome.HIT,
                    *((cause if number == 31 else follow) if number > 30 and build % 3 == 0 else ()),
                )
                for number in range(1, 51)
            ]
            opened.history.add(Build(1e9 + build, 5.0, "done", file="f", context="c"), steps, detail)
    # Stages and layers that builds have alike are kept once.
    assert os.stat(store / "pybuild.db").st_size < 12 << 20
    monkeypatch.setenv("PYBUILD_STORE", str(store))
    for line, most in ((["report"], 60), (["report", "--last"], 60), (["report", "--trend"], 60)):
        code = MODULES.format(line=line, heavy=HEAVY)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr
        count, _, heavy = done.stderr.partition(" ")
        assert int(count) <= most, (line, count)
        assert heavy.strip() == "[]", (line, heavy)
    # One statement for the list, two for a trend, whatever the history's length.
    for call, most in (
        ("store.history.builds(20)", 1),
        ("__import__('builder.report.trend').report.trend.trend_of(store)", 3),
    ):
        code = (
            "from builder.store import database\nfrom builder.store.store import open_store\ncount = 0\n"
            "old = database.Database.all, database.Database.one\n"
            "def all_(*a):\n    global count\n    count += 1\n    return old[0](*a)\n"
            "def one(*a):\n    global count\n    count += 1\n    return old[1](*a)\n"
            f"with open_store({str(store)!r}) as store:\n"
            "    database.Database.all, database.Database.one = all_, one\n"
            f"    {call}\n    print(count)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE)
        assert int(done.stdout) <= most, done.stderr
