"""How long explain, plan and report take on a long history, and what recording costs: `PYTHONPATH=. python tests/benchmarks/history.py FOLDER`.

FOLDER is made and holds a store with 1,000 builds of 50 steps, a context, and its builds. Processor time counts (user and system of the
whole process, the median of several runs), since the machine may be busy with other things; the wall's beside it is the best run's. Python
keeps what it compiled, as it does where the program is installed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

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


def measured(*line: str) -> tuple[float, float]:
    """The milliseconds of the processor that a command takes, the median of some runs, and the shortest on the wall's clock."""
    used, took = [], []
    for _ in range(RUNS + 1):
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run([sys.executable, "-m", "builder", *line], check=True, capture_output=True)
        took.append(time.monotonic() - begin)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(used[1:]) * 1000, min(took[1:]) * 1000  # the first one compiles


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
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-m", "builder", "build", str(context)], check=True, capture_output=True)
    for line in (
        ("--version",),
        ("explain",),
        ("explain", str(BUILDS - STEPS + 1)),
        ("explain", "last", "50"),
        ("plan", str(context)),
        ("report",),
        ("report", str(BUILDS - STEPS)),
        ("report", "--last"),
        ("report", str(BUILDS - STEPS), "--trend"),
        *(("report", "--last", "--format", form) for form in ("json", "markdown", "junit", "html")),
        ("build", str(context)),
    ):
        used, took = measured(*line)
        print(
            f"pybuild {' '.join(line).replace(str(context), 'CONTEXT'):<28}  {used:6.1f} ms  {took:6.1f} ms"
        )


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
