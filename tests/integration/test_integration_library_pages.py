"""The programs in the documents run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEADLINE, ROOT, Run

PAGES = ("library.md", "explain.md", "report.md")
BUILDFILE = """\
FROM base:1 AS build
ARG VERSION=1
COPY src /src
RUN echo $VERSION > /version
RUN cat /src/a > /out
"""


def programs() -> list[tuple[str, str]]:
    """The Python of each page, by its name and number."""
    return [
        (f"{page}-{number}", text)
        for page in PAGES
        for number, text in enumerate(
            re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.M | re.S)
        )
    ]


@pytest.mark.parametrize(("name", "text"), programs(), ids=[name for name, _ in programs()])
def test_a_program_of_the_documents_runs(
    pybuild: Run, context: Path, tmp_path: Path, name: str, text: str
) -> None:
    data = tmp_path / "data"
    (context / "Buildfile").write_text("FROM base\nRUN true\n")
    pybuild("build", "--store", data / "pybuild", "-t", "base:1", context)
    (context / "Buildfile").write_text(BUILDFILE)
    (context / "src").mkdir()
    (context / "src" / "a").write_text("a\n")
    for content in ("b\n", "c\n"):
        pybuild("build", "--store", data / "pybuild", context)
        (context / "src" / "a").write_text(content)
    program = text if "import builder" in text else f"import builder\n\n{text}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=context,
        env=dict(os.environ, XDG_DATA_HOME=str(data), PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    expected = {
        "library.md-0": "src/a (content)",
        "library.md-1": "BuildFinished",
        "explain.md-0": "COPY src",
    }
    assert expected.get(name, "") in done.stdout, done.stdout
    if name == "report.md-0":
        assert (context / "report.html").stat().st_size > 10_000
