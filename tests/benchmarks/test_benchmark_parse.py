"""Parsing a build file of 2,000 lines: in a process of its own, as a first build does it, and in one that goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder.buildfile.format import format_text
from builder.buildfile.parse import parse

ROOT = Path(__file__).resolve().parent.parent.parent
LINES = (
    'ENV A{0}=1 B="x y $A{0}" C=${{D:-e}}\n',
    "RUN apt-get update && \\\n    apt-get install -y --no-install-recommends package{0} && \\\n    rm -rf /var/lib/apt/lists/*\n",
    "COPY --chown=1:1 src{0} /app/$DIR/\n",
    'LABEL org.example.key{0}="some value {0}"\n',
    "# a comment\n\nWORKDIR /app{0}\n",
    "ARG VERSION{0}=1.2.3\n",
    'CMD ["program", "{0}"]\n',
    "RUN --mount=type=cache,target=/root/{0} make -j {0} && test \"$FOO\" = 'bar'\n",
    "EXPOSE {0}\n",
    "RUN <<EOF\necho {0}\nEOF\n",
)
PROGRAM = "import sys; from builder.buildfile.parse import parse; parse(open(sys.argv[1], 'rb').read(), 'f')"


def text(more=""):
    """A file of 2,000 lines, or up to two more."""
    found = "FROM debian:12\n" + more
    parts = []
    count, number = found.count("\n"), 0
    while count < 2000:
        parts.append(LINES[number % len(LINES)].format(number))
        count += parts[-1].count("\n")
        number += 1
    return (found + "".join(parts)).encode()


def test_the_file_is_what_it_says():
    assert 2000 <= text().count(b"\n") <= 2002
    assert len(parse(text(), "f").instructions) > 1000


@pytest.mark.parametrize(
    "more", ["", "ENV A=a\\ b B=${C#d}\n"], ids=["no grammar is needed", "words that need the grammar"]
)
def test_a_cold_parse(benchmark, tmp_path, more):
    path = tmp_path / "Buildfile"
    path.write_bytes(text(more))
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = str(ROOT)
    line = [sys.executable, "-c", PROGRAM, str(path)]
    benchmark.pedantic(subprocess.run, [line], {"check": True, "env": env}, rounds=15, warmup_rounds=1)


def test_a_warm_parse(benchmark):
    whole = text()
    benchmark(parse, whole, "f")


def test_formatting(benchmark):
    whole = text()
    benchmark.pedantic(format_text, [whole, "f"], rounds=5)
