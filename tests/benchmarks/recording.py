"""What it costs that a build remembers why: `python tests/benchmarks/recording.py FOLDER [PAIRS]`.

The same builds are made with and without all that is kept only to explain, to plan and to report: the parts of keys in records, the
listings of what COPYs took, the reasons of misses, and the history. Which of both begins changes from pair to pair; what counts is the
median of each, of the processor time (user and system, of the whole process) and of the wall's, on whatever machine.

FOLDER is made; it wants a file system that is fast, such as one in memory.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
RUNS, FILES = 50, 10_000


def forgetful() -> None:
    """Keep nothing in this process that only explanations, plans and reports need."""
    from builder.engine import copy_work, recording, step
    from builder.engine.reasons import Miss
    from builder.store.records import Records
    from builder.value import replace

    put = Records.put
    step._why = lambda *_: Miss(())
    copy_work.CopyWork.save_listing = lambda *_: False  # type: ignore[method-assign]
    Records.put = lambda self, record: put(self, replace(record, parts=()))  # type: ignore[method-assign]
    recording.Recording.__exit__ = lambda *_: None  # type: ignore[method-assign]


def write_projects(folder: Path) -> dict[str, Path]:
    """The contexts: one with 50 RUN steps, one with a COPY of 10,000 files."""
    runs, files = folder / "runs", folder / "files"
    runs.mkdir(parents=True)
    lines = "".join(f"RUN echo {number} > /{number}\n" for number in range(RUNS))
    (runs / "Buildfile").write_text(f"FROM base\n{lines}")
    for number in range(FILES):
        place = files / "src" / str(number % 100)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file-{number}").write_text(f"the file {number}\n" * 40)
    (files / "Buildfile").write_text("FROM base\nCOPY src /src\nRUN ls /src > /list\n")
    return {f"{RUNS} RUN": runs, f"COPY of {FILES} files": files}


def build(context: Path, store: Path, base: Path, how: str) -> tuple[float, float]:
    """Processor and wall time of one build in milliseconds."""
    line = [sys.executable, __file__, how, "build", "-q", "--store", str(store), str(context)]
    line += ["--build-context", f"base=oci-layout://{base}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(line, check=True, env=env, stdout=subprocess.DEVNULL)
    took, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used * 1000, took * 1000


def measure(folder: Path, pairs: int) -> None:
    """Print a table."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "conformance")]
    from images import write_bases

    bases = folder / "bases"
    bases.mkdir(parents=True)
    write_bases(bases)
    for name, context in write_projects(folder / "projects").items():
        taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for number in range(pairs):
            for how in ("with", "without")[:: -1 if number % 2 else 1]:
                store = folder / f"store-{how}"
                shutil.rmtree(store, ignore_errors=True)
                for state in ("cold", "cached"):
                    taken.setdefault((state, how), []).append(build(context, store, bases / "base", how))
        for state in ("cold", "cached"):
            for column, kind in enumerate(("processor", "wall")):
                kept, none = (median(one[column] for one in taken[state, how]) for how in ("with", "without"))
                print(
                    f"{name}, {state}, {kind:<9}  {kept:7.1f} ms with, {none:7.1f} ms without: "
                    f"{kept - none:+6.1f} ms, {100 * (kept / none - 1):+5.1f} %"
                )


if __name__ == "__main__":
    if sys.argv[1] in ("with", "without"):
        sys.path.insert(0, str(ROOT))
        if sys.argv[1] == "without":
            forgetful()
        from builder.cli.main import main

        sys.exit(main(sys.argv[2:]))
    measure(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 15)
