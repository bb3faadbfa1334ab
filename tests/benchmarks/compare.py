"""Whole commands side by side with `docker build` (BuildKit in Debian's dockerd, started here in a temporary folder).

Prints medians and ratios of the same run; nothing is judged. Data are made from a seed, so that each run has the same.

    compare.py [--rounds N] [--json FILE] [ROW…]

A ROW is one of small, debian, large (100,000 files), run (a RUN that writes 50,000 files); default: all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PYBUILD = [sys.executable, "-m", "builder"]
DOCKER = "/usr/bin/docker"
Prepare = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """Medians of seconds; `limit` is what the machine itself needs for the like, 0 where nothing is like it."""

    work: str
    ours: float
    theirs: float
    limit: float = 0.0

    def line(self) -> str:
        limit = f"{self.ours / self.limit:>9.2f}" if self.limit else ""
        return f"{self.work:<46}{self.ours:>8.3f}s{self.theirs:>8.3f}s{self.ours / self.theirs:>7.2f}{limit}"


@dataclass(frozen=True)
class Bench:
    """Where the work happens, and how often."""

    work: Path
    env: dict[str, str]
    rounds: int

    def seconds(self, line: list[str]) -> float:
        begin = time.perf_counter()
        done = subprocess.run(line, env=self.env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{line}: {done.stderr[-2000:]}")
        return time.perf_counter() - begin

    def pair(
        self,
        title: str,
        context: Path,
        *flags: str,
        archive: bool = False,
        before: Prepare = lambda: None,
        rounds: int | None = None,
        limit: float = 0.0,
    ) -> Row:
        """Time both builders in turns; `before` runs before each pair. The first pair only warms up."""
        out = ["-o", f"type=oci,dest={context}.tar"] if archive else []
        ours = [*PYBUILD, "build", "-q", "-t", "bench:ours", *flags, *out, str(context)]
        theirs = [DOCKER, "build", "-q", "-t", "bench:theirs", "--network", "host", *flags, str(context)]
        times = []
        for _ in range((rounds or self.rounds) + 1):
            before()
            times.append((self.seconds(ours), self.seconds(theirs)))
        a, b = (statistics.median(column) for column in zip(*times[1:], strict=True))
        row = Row(title, a, b, limit)
        print(row.line(), flush=True)
        return row


def make_tree(root: Path, count: int, size: int, seed: int) -> None:
    """`count` files of `size` bytes in all, fifty to a folder, half of each random."""
    dice = random.Random(seed)
    for number in range(count):
        folder = root / f"d{number // 1000:03}" / f"e{number // 50 % 20:02}"
        if number % 50 == 0:
            folder.mkdir(parents=True, exist_ok=True)
        length = int(dice.expovariate(count / size))
        half = dice.randbytes(length // 2)
        (folder / f"f{number:06}.py").write_bytes(
            half + b"def f(x): return x\n" * ((length - len(half)) // 19 + 1)
        )


def editor(context: Path) -> Prepare:
    """Changes one file of a tree, differently each time."""
    return lambda: (context / "src/d000/e00/f000003.py").write_text(f"x = {time.time_ns()}\n")


def walk_limit(folder: Path) -> float:
    """Seconds that `find -printf` needs, which looks at every entry once."""
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run(["find", folder, "-printf", "%s %m\n"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def copy_limit(folder: Path, target: Path) -> float:
    begin = time.perf_counter()
    subprocess.run(["cp", "-a", folder, target], check=True)
    seconds = time.perf_counter() - begin
    subprocess.run(["rm", "-r", target], check=True)
    return seconds


# --- rows ----------------------------------------------------------------------------------------------


def small(bench: Bench) -> Iterator[Row]:
    context = bench.work / "small"
    context.mkdir()
    steps = [f"RUN true {number}" for number in range(50)]
    (context / "Dockerfile").write_text("\n".join(["FROM busybox:local", *steps]) + "\n")
    yield bench.pair("50 RUN steps, cold", context, "--no-cache")
    yield bench.pair("… everything cached", context)


def files(
    bench: Bench, name: str, count: int, size: int, base: str, lines: str, rounds: int | None
) -> Iterator[Row]:
    context = bench.work / name
    make_tree(context / "src", count, size, count)
    (context / "Dockerfile").write_text(f"FROM {base}\n{lines}")
    title = f"{count:,} files, {size >> 20} MB into {base.partition(':')[0]}"
    copied = copy_limit(context / "src", bench.work / "copied")
    flags = {"archive": True, "rounds": rounds}
    yield bench.pair(f"{title}, cold", context, "--no-cache", limit=copied, **flags)  # type: ignore[arg-type]
    yield bench.pair("… everything cached", context, archive=True, limit=walk_limit(context / "src"))
    yield bench.pair("… one file edited", context, before=editor(context), **flags)  # type: ignore[arg-type]


def debian(bench: Bench) -> Iterator[Row]:
    subprocess.run(
        [str(ROOT / "examples/bases/debian"), *PYBUILD], env=bench.env, check=True, capture_output=True
    )
    give_to_docker(bench, "debian:local")
    lines = "COPY src/d000 /app/a\nRUN ls /app/a > /x\nCOPY src /app/b\nRUN find /app/b | wc -l > /y\n"
    yield from files(bench, "debian", 7_600, 81 << 20, "debian:local", lines, None)


def large(bench: Bench) -> Iterator[Row]:
    lines = "COPY src /src\nRUN ls /src | wc -l > /n\n"
    yield from files(bench, "large", 100_000, 362 << 20, "busybox:local", lines, 2)


def run(bench: Bench) -> Iterator[Row]:
    context = bench.work / "run"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM busybox:local\n"
        "RUN i=0; while [ $i -lt 500 ]; do mkdir -p /d/$i; j=0; while [ $j -lt 100 ]; do echo $i$j > /d/$i/$j; "
        "j=$((j+1)); done; i=$((i+1)); done\n"
    )
    yield bench.pair("a RUN that writes 50,000 files", context, "--no-cache", archive=True, rounds=3)


ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "small": small,
    "debian": debian,
    "large": large,
    "run": run,
}


# --- peers ---------------------------------------------------------------------------------------------


def give_to_docker(bench: Bench, name: str) -> None:
    archive = str(bench.work / "image.tar")
    subprocess.run([*PYBUILD, "save", "-o", archive, name], env=bench.env, check=True)
    subprocess.run([DOCKER, "load", "-q", "-i", archive], env=bench.env, check=True, capture_output=True)


@contextmanager
def docker_daemon(work: Path, env: dict[str, str]) -> Iterator[None]:
    line = [
        "dockerd",
        "--host",
        env["DOCKER_HOST"],
        "--data-root",
        str(work / "data"),
        "--exec-root",
        str(work / "exec"),
    ]
    line += ["--pidfile", str(work / "pid"), "--bridge=none", "--iptables=false", "--ip6tables=false"]
    daemon = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while subprocess.run([DOCKER, "version"], env=env, capture_output=True).returncode:
            time.sleep(0.1)
        yield
    finally:
        daemon.terminate()
        daemon.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[*ROWS, []])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pb-bench-", dir="/tmp") as name:
        work = Path(name)
        env = dict(os.environ, PYBUILD_STORE=str(work / "store"), PYTHONPATH=str(ROOT), DOCKER_BUILDKIT="1")
        env["DOCKER_HOST"] = f"unix://{work}/docker.sock"
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        bench = Bench(work, env, options.rounds)
        with docker_daemon(work, env):
            subprocess.run(
                [str(ROOT / "examples/bases/busybox"), *PYBUILD], env=env, check=True, capture_output=True
            )
            give_to_docker(bench, "busybox:local")
            print(f"{'work':<46}{'pybuild':>9}{'docker':>9}{'ratio':>7}{'of limit':>9}")
            rows = [row for chosen in options.rows or ROWS for row in ROWS[chosen](bench)]
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
