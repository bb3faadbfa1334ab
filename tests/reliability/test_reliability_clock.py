"""The clock is set back by days between builds: nothing fails, no hit is lost or wrong, and misses are explained all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import DEADLINE

FILE = "FROM base\nCOPY tree /tree\nRUN cat /tree/a > /sum\nWORKDIR /w\n"


class Place:
    """A store and a context; `days` is how far the clock is set back."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder, self.base, self.context = folder, base, folder / "context"
        (self.context / "tree").mkdir(parents=True)
        (self.context / "tree" / "a").write_text("one\n")
        (self.context / "Buildfile").write_text(FILE)

    def call(self, *words: str | Path, days: int = 0, store: str = "store") -> str:
        # Only the process has another time: what the kernel says of files is as it is.
        before = ["env", "NO_FAKE_STAT=1", "faketime", "-f", f"-{days}d"] if days else []
        line = [
            *before,
            sys.executable,
            "-m",
            "builder",
            words[0],
            "--store",
            self.folder / store,
            *words[1:],
        ]
        done = subprocess.run([str(word) for word in line], capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def build(self, *words: str | Path, days: int = 0, store: str = "store") -> dict[str, Any]:
        report = self.folder / "report.json"
        flags = ["--build-context", f"base=oci-layout://{self.base}", "--report", report, "-t", "app"]
        self.call("build", *flags, *words, self.context, days=days, store=store)
        found: dict[str, Any] = json.loads(report.read_text())
        return found


def outcomes(built: dict[str, Any]) -> list[str]:
    return [step["outcome"] for step in built["steps"] if not step["title"].startswith("exporting")]


@pytest.fixture
def place(tmp_path: Path, bases: Path) -> Place:
    return Place(tmp_path, bases / "base")


def test_builds_of_the_future_are_found_and_compared_with(place: Place) -> None:
    first = place.build()
    back = place.build("--require", "hit-rate>=1", days=3)
    assert outcomes(back) == ["hit"] * 4
    assert back["image"] == first["image"]
    # What changed is seen, and compared with records that seem to come from the future.
    (place.context / "tree" / "a").write_text("two\n")
    edited = place.build(days=3)
    assert outcomes(edited) == ["hit"] + ["miss"] * 3
    [copied] = [step for step in edited["steps"] if "COPY" in step["title"]]
    assert copied["reasons"][0]["detail"] == "tree/a (content)"
    assert place.call("run", "app", "cat", "/sum", days=3) == "two\n"
    # As it was again, and the clock is right again.
    (place.context / "tree" / "a").write_text("one\n")
    again = place.build()
    assert outcomes(again) == ["hit"] * 4
    assert again["image"] == first["image"]


def test_times_of_files_are_no_reason_to_trust_them(place: Place) -> None:
    """A file of the same size, written while the clock was set back, with the time that it had."""
    place.build()
    path = place.context / "tree" / "a"
    seen = path.stat()
    path.write_text("eno\n")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    place.build(days=3)
    assert place.call("run", "app", "cat", "/sum") == "eno\n"


def test_housekeeping_with_times_to_come(place: Place) -> None:
    place.build()
    for words in (
        ["images"],
        ["history", "app"],
        ["du", "-v"],
        ["report"],
        ["report", "--last"],
        ["report", "--trend"],
        ["report", "--advice"],
        ["explain"],
        ["doctor"],
        ["prune", "--dry-run"],
    ):
        place.call(*words, days=3)
    place.call("rmi", "app", days=3)
    kept = json.loads(place.call("prune", "--force", "--filter", "until=1h", "--format", "json", days=3))
    assert kept["items"] == [], "what is used in the future was used lately"
    gone = json.loads(place.call("prune", "--force", "--all", "--format", "json", days=3))
    assert len(gone["items"]) >= 4
    assert json.loads(place.call("du", "--format", "json", days=3))["items"] == []
    fresh = place.build(days=3)
    assert "hit" not in outcomes(fresh)
    [copied] = [step for step in fresh["steps"] if "COPY" in step["title"]]
    assert "evicted by prune" in copied["reasons"][0]["detail"]


def test_a_limit_holds_with_times_to_come(place: Place) -> None:
    """What is removed first is what was unused longest, as far as anybody can know it; what the build makes stays."""
    place.build("-o", "type=cacheonly")
    (place.context / "tree" / "a").write_text("three\n")
    built = place.build("--store-limit", "1", days=3)
    assert outcomes(built)[1:3] == ["miss", "miss"]
    assert place.call("run", "app", "cat", "/sum") == "three\n"
