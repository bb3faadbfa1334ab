"""Many processes build on one store at once: each step is carried out once, and all get the same images.

PYBUILD_PROCESSES (4) and PYBUILD_BUILDS (5) say how many processes build how many variations each; the full campaign has 8 and 50.
"""

from __future__ import annotations

import collections
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEADLINE

PROCESSES = int(os.environ.get("PYBUILD_PROCESSES", "4"))
BUILDS = int(os.environ.get("PYBUILD_BUILDS", "5"))
FILE = """FROM base AS one
ARG V
RUN --mount=type=cache,target=/c echo one $V >> /c/log; echo one $V > /one
FROM base AS two
ARG V
COPY file /file
RUN --mount=type=cache,target=/c echo two $V >> /c/log; cat /file > /two; echo $V >> /two
FROM base
COPY --from=one /one /one
COPY --from=two /two /two
RUN --mount=type=cache,target=/c echo three $(cat /one) >> /c/log; cat /one /two > /three
"""
# Reads variations from its words and builds them; writes a line for each: its status, its id, what it said.
WORKER = """
import subprocess, sys
store, base, context, *variations = sys.argv[1:]
for v in variations:
    done = subprocess.run([sys.executable, "-m", "builder", "build", "-q", "--store", store, "--build-arg", f"V={v}",
        "--build-context", f"base=oci-layout://{base}", "-t", f"app:{v}", context], capture_output=True, text=True)
    print(v, done.returncode, done.stdout.strip() or "none", repr(done.stderr), flush=True)
"""


@pytest.mark.timeout(900 + 10 * PROCESSES * BUILDS)
def test_each_step_runs_once(bases: Path, tmp_path: Path) -> None:
    rng = random.Random(3)
    context, store = tmp_path / "context", tmp_path / "store"
    context.mkdir()
    (context / "Buildfile").write_text(FILE)
    (context / "file").write_text("text\n")
    workers = []
    for _ in range(PROCESSES):
        order = [str(number) for number in range(BUILDS)]
        # Mostly the same ones at once, and some in another order.
        if rng.random() < 0.4:
            rng.shuffle(order)
        line = [sys.executable, "-c", WORKER, str(store), str(bases / "base"), str(context), *order]
        workers.append(subprocess.Popen(line, stdout=subprocess.PIPE, text=True))
    images = collections.defaultdict(set)
    for worker in workers:
        lines = worker.communicate(timeout=DEADLINE)[0].splitlines()
        assert len(lines) == BUILDS
        for answer in lines:
            variation, status, image, said = answer.split(" ", 3)
            assert status == "0", said
            assert said == "''"
            images[variation].add(image)
    assert all(len(found) == 1 for found in images.values()), images
    (log,) = store.glob("caches/*/log")
    ran = collections.Counter(log.read_text().splitlines())
    expected = {f"{step} {v}" for v in range(BUILDS) for step in ("one", "two")}
    expected |= {f"three one {v}" for v in range(BUILDS)}
    assert ran == collections.Counter(expected)
    for variation in (0, BUILDS - 1):
        shown = subprocess.run(
            [
                sys.executable,
                "-m",
                "builder",
                "run",
                "--store",
                str(store),
                f"app:{variation}",
                "cat",
                "/three",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout == f"one {variation}\ntext\n{variation}\n"
