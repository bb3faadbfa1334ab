"""The bytes of a report: what goes over the network is counted where it goes, and counting costs a cached build nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_server import Registry, run_registry
from web_server import bytes_of, run_web

from tests.conftest import DEADLINE, Run

SIZE = 200_000


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with run_registry(tmp_path / "registry") as found:
        yield found


def traffic(path: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads(path.read_text())["traffic"]
    return found


def test_push_pull_and_remote_cache(pybuild: Run, context: Path, tmp_path: Path, registry: Registry) -> None:
    report = tmp_path / "r.json"
    (context / "Buildfile").write_text("FROM scratch\nCOPY noise /noise\nCOPY more /more\n")
    (context / "noise").write_bytes(os.urandom(SIZE))  # does not get smaller
    (context / "more").write_text("x")
    name, cache = f"{registry.host}/app:1", f"type=registry,ref={registry.host}/cache"
    pybuild("build", "-t", name, "--push", "--report", report, context)
    moved, document = traffic(report), json.loads(report.read_text())
    assert document["size"] < moved["pushed"] < document["size"] + 5_000  # and the config
    assert moved["fetched"] == 0
    # Nothing is sent twice.
    pybuild("build", "-t", name, "--push", "--report", report, context)
    assert traffic(report)["pushed"] == 0

    # A base that is pulled.
    (context / "Buildfile").write_text(f"FROM {name}\nCOPY more /again\n")
    pybuild("build", "--store", tmp_path / "other", "--report", report, context)
    assert SIZE < traffic(report)["fetched"] < SIZE + 10_000
    pybuild("build", "--store", tmp_path / "other", "--report", report, context)
    assert traffic(report)["fetched"] == 0

    # A remote cache: what is sent for it, and what a fresh store takes from it.
    (context / "Buildfile").write_text("FROM scratch\nCOPY noise /noise2\nCOPY more /more2\n")
    pybuild("build", "--cache-to", f"{cache},mode=max,wait=600", "--report", report, context)
    assert SIZE < traffic(report)["pushed"] < SIZE + 10_000
    third = ["--store", tmp_path / "third", "--cache-from", f"{cache},wait=600", "--report", report]
    pybuild("build", *third, "-o", "type=cacheonly", context)
    lazy = traffic(report)
    told = json.loads(report.read_text())
    assert told["misses"] == 0 and [step["origin"] != "" for step in told["steps"]].count(True) == 2
    past = json.loads(pybuild("report", "--last", "--format", "json", "--store", tmp_path / "third").stdout)
    assert [step["origin"] for step in past["steps"]] == [step["origin"] for step in told["steps"]]
    assert 0 < lazy["fetched"] < 10_000  # records, but no layer that no step needs
    pybuild("build", *third, "-o", tmp_path / "out", context)
    assert SIZE < traffic(report)["fetched"] < SIZE + 20_000


def test_downloads(pybuild: Run, context: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    with run_web() as web:
        web.answers["/f"] = bytes_of(b"x" * SIZE, ETag='"1"')
        (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/f /f\n")
        pybuild("build", "--report", report, context)
        assert traffic(report)["fetched"] == SIZE
        assert traffic(report)["written"] >= SIZE
        pybuild("build", "--report", report, context)
        assert traffic(report)["fetched"] == 0


def test_a_report_costs_a_cached_build_little(store: Path, context: Path, tmp_path: Path) -> None:
    """Without one no module of reports is imported; with one in JSON, those that gather and write it."""
    (context / "Buildfile").write_text("FROM scratch\nCOPY a /a\n")
    (context / "a").write_text("x")
    code = (
        "import sys\nfrom builder.cli.main import main\nstatus = main(sys.argv[1:])\n"
        "print(' '.join(sorted(sys.modules)), file=sys.__stderr__)\nraise SystemExit(status)\n"
    )

    def modules(*words: str) -> set[str]:
        line = [sys.executable, "-c", code, "build", "-q", "--store", str(store), *words, str(context)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr
        return set(done.stderr.splitlines()[-1].split())

    modules()
    plain, told = modules(), modules("--report", str(tmp_path / "r.json"))
    reports = {"document", "reportfile", "markdown", "html", "junit", "github", "trend", "past", "advice"}
    assert not plain & {f"builder.report.{name}" for name in reports}
    assert "builder.engine.conditions" not in plain
    assert not {"dataclasses", "inspect"} & (told - plain)
    more = {name for name in told - plain if name.startswith("builder.")}
    assert more == {
        "builder.report",
        "builder.report.document",
        "builder.report.reportfile",
        "builder.output",
        "builder.output.destination",
    }
