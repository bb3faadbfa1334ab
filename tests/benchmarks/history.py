"""How long explain, plan and report take on a long history, and what recording costs: `python tests/benchmarks/history.py FOLDER`.

FOLDER is made and holds a store with 1,000 builds of 50 steps, a context, and its builds. Processor time counts (user and system, the
best of several runs of the whole process), since the machine may be busy with other things.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from builder.events import Outcome, Reason
from builder.store.history import Build, BuildStep
from builder.store.store import open_store

BUILDS, STEPS, RUNS = 1000, 50, 8


def fill(store: Path, context: Path) -> list[float]:
    """Keep the builds; the milliseconds that each took."""
    took = []
    with open_store(str(store)) as opened:
        for number in range(BUILDS):
            first = number % STEPS + 1
            steps = [
                BuildStep(
                    step,
                    "Buildfile\n0\nRunStep",
                    f"[{step:>2}/{STEPS}] RUN step {step}",
                    "",
                    step,
                    Outcome.MISS if step >= first else Outcome.HIT,
                    number * 3600.0 + step,
                    0.1,
                    key=os.urandom(16),
                    state=os.urandom(16),
                    reasons=(Reason("changed", "parent", f"because step {step - 1} changed", step - 1),)
                    if step > first
                    else (),
                )
                for step in range(1, STEPS + 1)
            ]
            build = Build(number * 3600.0, 5.0, "done", file="Buildfile", context=str(context), stages=("0",))
            begin = time.thread_time()
            opened.history.add(build, steps)
            took.append((time.thread_time() - begin) * 1000)
    return sorted(took)


def processor(*line: str) -> float:
    """The milliseconds of the processor that a command takes, the best of some runs."""
    best = float("inf")
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "builder", *line], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best * 1000


def measure(folder: Path) -> None:
    """Print a table."""
    store, context = folder / "store", folder / "context"
    context.mkdir(parents=True)
    (context / "Buildfile").write_text(
        "FROM scratch\n" + "".join(f"WORKDIR /w{step}\n" for step in range(STEPS))
    )
    took = fill(store, context)
    size = sum(file.stat().st_size for file in store.glob("pybuild.db*"))
    print(
        f"recording a build of {STEPS} steps  {took[len(took) // 2]:6.1f} ms, {size / BUILDS / 1000:.1f} kB"
    )
    os.environ["PYBUILD_STORE"] = str(store)
    subprocess.run([sys.executable, "-m", "builder", "build", str(context)], check=True, capture_output=True)
    for line in (
        ("--version",),
        ("explain",),
        ("explain", str(BUILDS - STEPS + 1)),
        ("explain", "last", "50"),
        ("plan", str(context)),
        ("report",),
        ("report", "--last"),
        ("report", "--trend"),
        ("build", str(context)),
    ):
        print(f"pybuild {' '.join(line).replace(str(context), 'CONTEXT'):<24}  {processor(*line):6.1f} ms")


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
