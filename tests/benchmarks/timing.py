"""Whole commands, timed side by side, and what the machine itself needs for the like."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from peers import Peer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
Prepare = Callable[[], object]
# By name: a command and its surroundings.
Commands = dict[str, tuple[Sequence[str], dict[str, str]]]


@dataclass(frozen=True)
class Target:
    """What is wanted: the ratio to docker's time, and to the limit; 0 where nothing is said."""

    docker: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True)
class Row:
    """Medians of seconds. `limit` is what the machine itself needs for the like, and `limit_name` says what that is."""

    work: str
    ours: float
    theirs: dict[str, float]
    limit: float = 0.0
    limit_name: str = ""
    target: Target = field(default_factory=Target)

    def line(self) -> str:
        text = f"{self.work:<46}{self.ours:>9.3f}s"
        for name, seconds in self.theirs.items():
            text += f"  {name} {seconds:.3f}s ratio {self.ours / seconds:.3f}"
        if self.target.docker and "docker" in self.theirs:
            text += f" (wanted {self.target.docker})"
        if self.limit:
            text += f"  {self.ours / self.limit:.2f} x {self.limit_name}"
        if self.target.limit:
            text += f" (wanted {self.target.limit})"
        return text


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, seconds of the processors for the program and for the kernel on its behalf, and the most memory (KiB)."""

    seconds: float
    processor: float
    memory: int


@dataclass(frozen=True)
class Bench:
    """Where the work happens, who does it, and how often. `work` is a temporary folder."""

    work: Path
    env: dict[str, str]
    rounds: int
    peers: Sequence[Peer] = ()

    @property
    def pybuild(self) -> str:
        """The command as pip installs it."""
        path = self.work / "pybuild"
        if not path.exists():
            path.write_text(
                f"#!{sys.executable}\nimport sys\nfrom builder.cli.main import process\nsys.exit(process())\n"
            )
            path.chmod(0o755)
        return str(path)

    def run(self, line: Sequence[str], env: dict[str, str] | None = None) -> tuple[float, int]:
        """Seconds and the most memory (KiB) of a command and its children; it must succeed."""
        cost = self.cost(line, env)
        return cost.seconds, cost.memory

    def cost(self, line: Sequence[str], env: dict[str, str] | None = None) -> Cost:
        """What a command and its children cost; it must succeed."""
        with (self.work / "output").open("w+b") as output:
            begin = time.perf_counter()
            process = subprocess.Popen(line, env=env or self.env, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                sys.exit(f"{list(line)}: {output.read()[-2000:].decode()}")
        return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)

    def compare(
        self,
        title: str,
        context: Path,
        *flags: str,
        archive: bool = False,
        before: Prepare = lambda: None,
        rounds: int = 0,
        limit: float = 0.0,
        limit_name: str = "",
        target: Target | None = None,
        slow: bool = False,
    ) -> Row:
        """Time all builders in turns; `before` runs before each turn. The first turn only warms up.

        With `slow` the others than docker have one turn besides that.
        """
        out = ["-o", f"type=oci,dest={context}.tar"] if archive else []
        ours = [self.pybuild, "build", "-q", "-t", "bench:ours", *flags, *out, str(context)]
        commands: Commands = {"": (ours, self.env)}
        for peer in self.peers:
            commands[peer.name] = ([*peer.build, *flags, str(context)], peer.env)
        return self.turns(
            title,
            commands,
            before=before,
            rounds=rounds,
            limit=limit,
            limit_name=limit_name,
            target=target,
            slow=slow,
        )

    def turns(
        self,
        title: str,
        commands: Commands,
        *,
        before: Prepare = lambda: None,
        rounds: int = 0,
        limit: float = 0.0,
        limit_name: str = "",
        target: Target | None = None,
        slow: bool = False,
    ) -> Row:
        """Time commands in turns, ours under the name ""; see `compare`."""
        times: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range((rounds or self.rounds) + 1):
            before()
            for name, (line, env) in commands.items():
                if not (slow and name not in ("", "docker") and turn > 1):
                    os.sync()  # who waits for the disk waits for nothing that another has written
                    times[name].append(self.run(line, env)[0])
        medians = {name: statistics.median(found[1:]) for name, found in times.items()}
        row = Row(title, medians.pop(""), medians, limit, limit_name, target or Target())
        print(row.line(), flush=True)
        return row


def median_of(measure: Callable[[], float], times: int = 5) -> float:
    """The median of some measurements, after one that only warms up."""
    measure()
    return statistics.median(measure() for _ in range(times))


def start_limit(bench: Bench) -> float:
    """Seconds in which Python starts and ends."""
    return median_of(lambda: bench.run([sys.executable, "-c", "pass"])[0], 9)


def walker(bench: Bench) -> Path:
    """The program that does nothing but walk."""
    program = bench.work / "walk"
    if not program.exists():
        line = ["gcc", "-O2", "-D_GNU_SOURCE", "-o", str(program), str(HERE / "walk.c")]
        subprocess.run(line, check=True)
    return program


def walk_limit(bench: Bench, folder: Path) -> float:
    """Seconds that getdents64 and statx of every entry take in one thread."""
    program = walker(bench)

    def measure() -> float:
        done = subprocess.run([program, folder], check=True, capture_output=True, text=True)
        return float(done.stdout.split()[1])

    return median_of(measure)


def copy_limit(folder: Path, target: Path) -> float:
    """Seconds of `cp -a`. The copies stay: for some minutes ext4 makes files very slowly where many have been removed."""
    number = iter(range(1000))

    def measure() -> float:
        place = f"{target}{next(number)}"
        begin = time.perf_counter()
        subprocess.run(["cp", "-a", folder, place], check=True)
        return time.perf_counter() - begin

    return median_of(measure, 2)


PACK = """
import hashlib, sys
from isal import isal_zlib
digest, blob, gzip = hashlib.sha256(), hashlib.sha256(), isal_zlib.compressobj(level=2, wbits=31)
while data := sys.stdin.buffer.read(1 << 20):
    digest.update(data)
    blob.update(gzip.compress(data))
blob.update(gzip.flush())
"""


def write_limit(script: str, folder: Path) -> float:
    """Seconds in which busybox's shell runs a script in a folder, and GNU tar, SHA-256 (of the tar and of what it is compressed
    to) and ISA-L's gzip take what it wrote.
    """

    number = iter(range(1000))

    def measure() -> float:
        place = folder.with_name(f"{folder.name}{next(number)}")  # it stays, as in `copy_limit`
        place.mkdir()
        begin = time.perf_counter()
        subprocess.run(["busybox", "sh", "-c", script], cwd=place, check=True)
        tar = subprocess.Popen(["tar", "--sort=name", "-C", place, "-c", "."], stdout=subprocess.PIPE)
        subprocess.run([sys.executable, "-c", PACK], stdin=tar.stdout, check=True)
        assert tar.stdout is not None
        tar.stdout.close()
        assert tar.wait() == 0
        return time.perf_counter() - begin

    return median_of(measure, 3)


def unpack_limit(archive: Path, work: Path) -> float:
    """Seconds in which `tar -x` unpacks the largest blob of an image's archive."""
    with tarfile.open(archive) as image:
        largest = max(image.getmembers(), key=lambda member: member.size)
        image.extract(largest, work / "blob", filter="data")
    number = iter(range(1000))

    def measure() -> float:
        place = work / f"unpacked by tar {next(number)}"
        place.mkdir()
        begin = time.perf_counter()
        subprocess.run(["tar", "-C", place, "-xzf", work / "blob" / largest.name], check=True)
        return time.perf_counter() - begin

    return median_of(measure, 3)
