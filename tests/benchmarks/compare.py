"""Whole commands side by side with docker build (BuildKit in Debian's dockerd) and buildah, in turns.

Prints medians and ratios of the same run; nothing is judged. Data are made from a seed, so that each run has the same.

    compare.py [--rounds N] [--peers NAME,…|install] [--json FILE] [ROW…]

A ROW is one of the functions in ROWS; default: all. With --json FILE rows of an earlier run that are not measured now stay.
`figures.py FILE` makes the table and the plots of docs/performance.md from it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median

import peers
from timing import (
    ROOT,
    Bench,
    Commands,
    Prepare,
    Row,
    Target,
    copy_limit,
    start_limit,
    unpack_limit,
    walk_limit,
    walker,
    write_limit,
)

STEPS = 50
CURVE = (10_000, 30_000, 100_000, 300_000, 1_000_000)


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


# --- rows ----------------------------------------------------------------------------------------------


def small(bench: Bench) -> Iterator[Row]:
    context = bench.work / "small"
    context.mkdir()
    steps = [f"RUN true {number}" for number in range(STEPS)]
    (context / "Dockerfile").write_text("\n".join(["FROM busybox:local", *steps]) + "\n")
    wanted = {"limit": STEPS * 0.008, "limit_name": "8 ms a step", "target": Target(0.25, 1.0)}
    yield bench.compare("50 `RUN` steps, cold", context, "--no-cache", **wanted)  # type: ignore[arg-type]
    start = start_limit(bench)
    wanted = {"limit": start, "limit_name": "Python's start", "target": Target(0.8, 6.0)}
    yield bench.compare("… everything cached", context, **wanted)  # type: ignore[arg-type]


def make_debian(bench: Bench) -> None:
    line = [str(ROOT / "examples/bases/debian"), bench.pybuild]
    subprocess.run(line, env=bench.env, check=True, capture_output=True)


def debian(bench: Bench) -> Iterator[Row]:
    make_debian(bench)
    give(bench, "debian:local")
    context = bench.work / "debian"
    make_tree(context / "src", 7_600, 81 << 20, 7_600)
    (context / "Dockerfile").write_text(
        "FROM debian:local\nCOPY src/d000 /app/a\nRUN ls /app/a > /x\nCOPY src /app/b\nRUN find /app/b | wc -l > /y\n"
    )
    title = "7,600 files, 81 MB, 2 COPY + 2 RUN on Debian, cold"
    yield bench.compare(title, context, "--no-cache", archive=True, target=Target(0.5))
    floor = walk_limit(bench, context / "src") + start_limit(bench)
    wanted = {"limit": floor, "limit_name": "walk + Python's start", "target": Target(0.4, 3.0)}
    yield bench.compare("… everything cached", context, archive=True, **wanted)  # type: ignore[arg-type]
    yield bench.compare(
        "… one file edited", context, archive=True, before=editor(context), target=Target(0.2)
    )


def large(bench: Bench) -> Iterator[Row]:
    context = bench.work / "large"
    make_tree(context / "src", 100_000, 362 << 20, 100_000)
    (context / "Dockerfile").write_text("FROM busybox:local\nCOPY src /src\nRUN ls /src | wc -l > /n\n")
    title = "100,000 files, 362 MB, COPY + RUN, cold"
    wanted = {"limit": copy_limit(context / "src", bench.work / "copied"), "limit_name": "`cp -a`"}
    options = {"archive": True, "slow": True, "rounds": min(bench.rounds, 3)}
    yield bench.compare(title, context, "--no-cache", **options, **wanted, target=Target(0.2, 1.7))  # type: ignore[arg-type]
    wanted = {"limit": walk_limit(bench, context / "src"), "limit_name": "walk"}
    title = "… everything cached"
    yield bench.compare(title, context, archive=True, slow=True, **wanted, target=Target(0.1, 2.0))  # type: ignore[arg-type]
    edit = editor(context)
    yield bench.compare("… one file edited", context, before=edit, **options, target=Target(0.1))  # type: ignore[arg-type]


SCRIPT = (
    "i=0; while [ $i -lt 500 ]; do mkdir -p d/$i; j=0; while [ $j -lt 100 ]; do echo $i$j > d/$i/$j; "
    "j=$((j+1)); done; i=$((i+1)); done"
)


def run(bench: Bench) -> Iterator[Row]:
    context = bench.work / "run"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM busybox:local\nRUN {SCRIPT}\n")
    limit = write_limit(SCRIPT, bench.work / "written")
    yield bench.compare(
        "a `RUN` that writes 50,000 files",
        context,
        "--no-cache",
        archive=True,
        slow=True,
        rounds=min(bench.rounds, 3),
        limit=limit,
        limit_name="shell + tar + SHA-256 + gzip",
        target=Target(0.3, 1.5),
    )


def unpack(bench: Bench) -> Iterator[Row]:
    make_debian(bench)
    archive, store = str(bench.work / "debian.tar"), bench.work / "unpacked"
    line = [bench.pybuild, "save", "-o", archive, "debian:local"]
    subprocess.run(line, env=bench.env, check=True, capture_output=True)
    docker = [peer for peer in bench.peers if peer.name == "docker"]
    commands: Commands = {
        "": ([bench.pybuild, "load", "-q", "--store", str(store), "-i", archive], bench.env)
    }
    for peer in docker:
        commands[peer.name] = ([word.replace("ARCHIVE", archive) for word in peer.load], peer.env)
    number = iter(range(1000))

    def forget() -> None:
        """Nobody has the layer. What we unpacked stays elsewhere: removing it would slow down what follows."""
        if store.exists():
            store.rename(f"{store}{next(number)}")
        for peer in docker:
            for words in (["rmi", "-f", "debian:local", "bench:theirs"], ["builder", "prune", "-af"]):
                subprocess.run([peer.load[0], *words], env=peer.env, capture_output=True)

    yield bench.turns(
        "a layer of Debian (190 MB) loaded and unpacked",
        commands,
        before=forget,
        limit=unpack_limit(Path(archive), bench.work),
        limit_name="`tar -x`",
        target=Target(0.7, 1.3),
    )


ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "small": small,
    "debian": debian,
    "large": large,
    "run": run,
    "unpack": unpack,
}


# --- the curve -------------------------------------------------------------------------------------------


def curve(bench: Bench, most: int) -> Iterator[dict[str, float]]:
    """Trees of small files of growing size: seconds of a cold COPY, of a cached build and of a bare walk, on the clock and of the
    processors (`_work`); the most memory of both builds in MiB. Nothing is removed in between: ext4 makes files very slowly for
    some minutes where many were.
    """
    for count in CURVE:
        if count > most:
            return
        context = bench.work / f"curve{count}"
        make_tree(context / "src", count, count * 200, count)
        (context / "Dockerfile").write_text("FROM scratch\nCOPY src /src\n")
        line = [bench.pybuild, "build", "-q", "-o", "type=cacheonly", str(context)]
        # Small ones often enough for a median, each in a store of its own.
        stores = [str(bench.work / f"store{count}-{number}") for number in range(3 if count < 100_000 else 1)]
        envs = [dict(bench.env, PYBUILD_STORE=store) for store in stores]
        cold = [bench.cost(line, env) for env in envs]
        cached = [bench.cost(line, envs[0]) for _ in range(6 if count > 100_000 else 10)][1:]
        walk = [bench.cost([str(walker(bench)), str(context / "src")]) for _ in range(6)][1:]
        point = {"files": count}
        for name, costs in (("cold", cold), ("cached", cached), ("walk", walk)):
            point[name] = median(cost.seconds for cost in costs)
            point[f"{name}_work"] = median(cost.processor for cost in costs)
        point["cold_memory"] = max(cost.memory for cost in cold) / 1024
        point["cached_memory"] = max(cost.memory for cost in cached) / 1024
        print(
            f"{count:>9,} files: " + ", ".join(f"{name} {value:.3f}" for name, value in point.items()),
            flush=True,
        )
        yield point


# --- everything ------------------------------------------------------------------------------------------


def give(bench: Bench, name: str) -> None:
    """Let the peers have an image of our store."""
    archive = str(bench.work / "image.tar")
    subprocess.run(
        [bench.pybuild, "save", "-o", archive, name], env=bench.env, check=True, capture_output=True
    )
    for peer in bench.peers:
        peer.give(archive)


def machine() -> dict[str, object]:
    return {
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "processors": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def measure(bench: Bench, options: argparse.Namespace) -> dict[str, object]:
    line = [str(ROOT / "examples/bases/busybox"), bench.pybuild]
    subprocess.run(line, env=bench.env, check=True, capture_output=True)
    give(bench, "busybox:local")
    chosen = options.rows or [*ROWS, "curve"]
    rows = {name: [asdict(row) for row in ROWS[name](bench)] for name in chosen if name in ROWS}
    points = list(curve(bench, options.most)) if "curve" in chosen else []
    return {"machine": machine(), "rows": rows, **({"curve": points} if points else {})}


def keep(found: dict[str, object], file: Path) -> None:
    """Write what was found; what was not measured now stays as it was."""
    kept = json.loads(file.read_text()) if file.exists() else {}
    rows = {**kept.get("rows", {}), **found["rows"]}  # type: ignore[dict-item]
    found = {**kept, **found, "rows": {name: rows[name] for name in ROWS if name in rows}}
    file.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[*ROWS, "curve", []])
    parser.add_argument("--rounds", type=int, default=7, help="turns that count")
    parser.add_argument("--most", type=int, default=CURVE[-1], help="files of the largest tree of the curve")
    parser.add_argument(
        "--peers", default="", help="names, or `install` to install those that are missing; default: all here"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.peers == "install":
        peers.install(list(peers.PACKAGES))
    names = options.peers.split(",") if options.peers not in ("", "install", "none") else peers.installed()
    names = [] if options.peers == "none" else names
    with tempfile.TemporaryDirectory(prefix="pb-bench-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        env = dict(os.environ, PYBUILD_STORE=str(work / "store"), PYTHONPATH=str(ROOT))
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        with peers.started(names, work, env) as ready:
            print(f"peers: {', '.join(peer.name for peer in ready) or 'none'}", file=sys.stderr)
            found = measure(Bench(work, env, options.rounds, ready), options)
        if options.json:  # before the folder goes, which may take minutes
            keep(found, options.json)


if __name__ == "__main__":
    main()
