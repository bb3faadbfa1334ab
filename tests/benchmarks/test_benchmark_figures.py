"""The table and the plots are made from what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

HERE = Path(__file__).resolve().parent
FOUND = {
    "machine": {"day": "2000-01-01", "processors": 2, "kernel": "6.1", "python": "3.11"},
    "rows": {
        "small": [
            {
                "work": "50 `RUN` steps, cold",
                "ours": 0.32,
                "theirs": {"docker": 3.0, "buildah": 6.0},
                "limit": 0.4,
                "limit_name": "8 ms a step",
                "target": {"docker": 0.25, "limit": 1.0},
            },
            {
                "work": "… everything cached",
                "ours": 1.5,
                "theirs": {"docker": 1.0},
                "limit": 0.0,
                "limit_name": "",
                "target": {"docker": 0.0, "limit": 0.0},
            },
        ]
    },
    "curve": [
        {
            "files": 10**k,
            "cold": 10.0**k / 1e5,
            "cached": 10.0**k / 1e6,
            "walk": 10.0**k / 2e6,
            "cold_work": 10.0**k / 1e5,
            "cached_work": 10.0**k / 1e6,
            "walk_work": 10.0**k / 2e6,
            "cold_memory": 30.0 * k,
            "cached_memory": 20.0 * k,
        }
        for k in (4, 5, 6)
    ],
}


@pytest.mark.parametrize("with_curve", [True, False])
def test_table_and_plots(tmp_path: Path, with_curve: bool) -> None:
    found = FOUND if with_curve else {name: part for name, part in FOUND.items() if name != "curve"}
    (tmp_path / "found.json").write_text(json.dumps(found))
    (tmp_path / "performance.md").write_text(
        "before\n\n<!-- measured -->\nold\n<!-- /measured -->\n\nafter\n"
    )
    line = [sys.executable, str(HERE / "figures.py"), str(tmp_path / "found.json"), str(tmp_path)]
    pages = []
    for _ in range(2):
        subprocess.run(line, check=True)
        pages.append((tmp_path / "performance.md").read_text())
    assert pages[0] == pages[1]
    assert pages[0].startswith("before\n") and pages[0].endswith("\nafter\n") and "\nold\n" not in pages[0]
    assert (
        "| 50 `RUN` steps, cold | 0.320 s | 3.000 s | 0.11 | ≤ 0.25 | 6.000 s | 0.05 | 0.8 × 8 ms a step (≤ 1) |"
        in pages[0]
    )
    assert "| … everything cached | 1.500 s | 1.000 s | 1.50 |  |  |  |  |" in pages[0]
    assert ("| 1,000,000 | 1.000 s | 1.0 µs | 2.0 | 120 MiB |" in pages[0]) == with_curve
    plots = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert plots == ["performance-curve.svg", "performance-ratios.svg"][not with_curve :]
    for name in plots:
        root = ElementTree.parse(tmp_path / name).getroot()
        assert root.tag.endswith("}svg")
    bars = [
        item
        for item in ElementTree.parse(tmp_path / "performance-ratios.svg").iter()
        if item.get("class") in ("docker", "buildah")
    ]
    assert len(bars) == 2 + 3


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text(json.dumps(FOUND))
    (tmp_path / "performance.md").write_text("no place\n")
    line = [sys.executable, str(HERE / "figures.py"), str(tmp_path / "found.json"), str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 1 and "has no place" in done.stderr
    assert (tmp_path / "performance.md").read_text() == "no place\n"


def test_what_the_docs_show_was_measured() -> None:
    docs = HERE.parent.parent / "docs"
    assert json.loads((docs / "performance.json").read_text())["rows"]
    for name in ("performance-ratios.svg", "performance-curve.svg"):
        assert name in (docs / "performance.md").read_text()
        assert (docs / name).exists()
