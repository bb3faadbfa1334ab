"""What a build does, in counts that do not depend on the machine's mood: calls, statements, files, bytes, instructions.

The bounds are what was measured, and a little more. Who needs more raises them, and says why in docs/performance.md.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import builder
from builder.engine.request import Output
from builder.store import database

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
FILES = 50  # in each folder
STEPS = 50

CALLS_PER_ENTRY = 1.15  # one statx for each; open, twice getdents64 and close for each folder
CALLS_AROUND = 4000  # Python's start with all imports, the store, the database
STATEMENTS_AROUND = 16
STATEMENTS_PER_STEP = 3  # its record, its files and its layer
MODULES = 124  # of this program
INSTRUCTIONS_PER_ENTRY = 2200

# What a scan is made of, of csrc/.
SCANNED = [
    "automaton",
    "collect",
    "directory",
    "doubles",
    "error",
    "hash",
    "hashing",
    "ignore",
    "index",
    "linkmap",
    "pattern",
    "program",
    "rule",
    "save",
    "select",
    "spill",
    "tree",
    "walk",
    "xattrs",
]


def make_context(folder: Path, folders: int) -> Path:
    """A context of `folders` times FILES small files; the same each time."""
    dice = random.Random(folders)
    for number in range(folders):
        inside = folder / "src" / f"d{number}"
        inside.mkdir(parents=True)
        for name in range(FILES):
            (inside / f"f{name}").write_bytes(dice.randbytes(dice.randrange(400)))
    lines = ["FROM scratch", "COPY src /src", *(f"WORKDIR /w{number}" for number in range(STEPS - 1))]
    (folder / "Buildfile").write_text("\n".join(lines) + "\n")
    time.sleep(0.05)  # older than any index: what is younger is read again
    return folder


def build(context: Path, store: Path) -> builder.BuildResult:
    archive = Output("oci", str(store.with_suffix(".tar")))
    return builder.build(str(context), store=str(store), tags=("counted",), outputs=(archive,))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A context of 1,000 files, and a store that has its image."""
    root = tmp_path_factory.mktemp("counts")
    context = make_context(root / "context", 20)
    build(context, root / "store")
    build(context, root / "store")
    return context, root / "store"


def traced(context: Path, store: Path, log: Path) -> list[str]:
    """The system calls of a whole cached build, one a line."""
    command = [sys.executable, "-m", "builder", "build", "-q", "-t", "counted", "-o"]
    command += [f"type=oci,dest={store.with_suffix('.tar')}", "--store", str(store), str(context)]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, env=env, check=True, capture_output=True)  # compiles what was not compiled yet
    done = subprocess.run(["strace", "-f", "-o", log, *command], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = log.read_text().splitlines()
    return [line for line in lines if "resumed>" not in line and "(" in line]


def test_a_cached_build_asks_the_kernel_once_for_each_entry(built: tuple[Path, Path], tmp_path: Path) -> None:
    counts = []
    larger = make_context(tmp_path / "context", 60)
    build(larger, tmp_path / "store")
    build(larger, tmp_path / "store")
    for context, store in (built, (larger, tmp_path / "store")):
        calls = traced(context, store, tmp_path / "log")
        kinds = Counter(re.findall(r"(\w+)\(", line)[0] for line in calls)
        opened = [line for line in calls if "openat2(" in line]
        assert all("O_DIRECTORY" in line for line in opened), "a file of the context was opened"
        assert not {"readlinkat", "flistxattr", "fsync", "syncfs"} & set(kinds), kinds
        counts.append(len(calls))
    entries = 40 * (FILES + 1)
    print(f"{(counts[1] - counts[0]) / entries:.3f} calls an entry, {counts[0] - 1000 * 1.1:.0f} around them")
    assert counts[1] - counts[0] <= CALLS_PER_ENTRY * entries
    assert counts[0] <= CALLS_AROUND + CALLS_PER_ENTRY * 21 * FILES


def test_a_cached_build_runs_few_statements(
    built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    connect = database.sqlite3.connect

    def listening(*args: Any, **options: Any) -> Any:
        connection = connect(*args, **options)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(database.sqlite3, "connect", listening)
    build(*built)
    # The history keeps a row for each step, in one transaction.
    inner = [text for text in statements if not text.startswith("INSERT")]
    print(f"{len(statements)} statements, {len(inner)} without the history's rows")
    assert len(inner) <= STATEMENTS_AROUND + STATEMENTS_PER_STEP * STEPS, Counter(
        text[:50] for text in inner
    ).most_common()
    assert len(statements) - len(inner) <= 2 * STEPS + 12


def test_a_cached_build_reads_hashes_and_writes_nothing(built: tuple[Path, Path]) -> None:
    result = build(*built)
    assert {step.outcome.value for step in result.steps} <= {"hit", "done"}
    traffic = result.traffic
    assert (traffic.hashed, traffic.written, traffic.fetched, traffic.pushed) == (0, 0, 0, 0)
    assert traffic.read == 0


def test_layers_that_are_proven_are_not_read(built: tuple[Path, Path], tmp_path: Path) -> None:
    """An output that takes layers looks at each once, and reads those that it does not know, as those of a copied store."""
    context, store = built
    image = (Output("image"),)
    assert builder.build(str(context), store=str(store), tags=("counted",), outputs=image).traffic.read == 0
    shutil.copytree(store, tmp_path / "store", symlinks=True)
    other = str(tmp_path / "store")
    read = [
        builder.build(str(context), store=other, tags=("counted",), outputs=image).traffic.read
        for _ in range(2)
    ]
    layers = json.loads(
        subprocess.run(
            [sys.executable, "-m", "builder", "inspect", "--store", other, "counted"],
            capture_output=True,
            check=True,
        ).stdout
    )
    layers = layers[0] if isinstance(layers, list) else layers
    assert read == [sum({layer["digest"]: layer["size"] for layer in layers["Layers"]}.values()), 0]


def test_one_edited_file_is_the_only_one_read(built: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(built[0], tmp_path / "context")
    time.sleep(0.05)
    build(tmp_path / "context", tmp_path / "store")
    (tmp_path / "context/src/d3/f3").write_bytes(b"x" * 300)
    command = [sys.executable, "-m", "builder", "build", "-q", "-o", "type=cacheonly"]
    command += ["--store", str(tmp_path / "store"), str(tmp_path / "context")]
    # A file for each thread: no line is cut in two by that of another one.
    subprocess.run(["strace", "-ff", "-o", tmp_path / "log", *command], check=True, capture_output=True)
    text = "".join(log.read_text() for log in tmp_path.glob("log.*"))
    folder = re.search(
        rf'openat\(AT_FDCWD, "{tmp_path}/context", \S*O_DIRECTORY\S*\) = (\d+)\n(?!.* close)', text
    )
    assert folder
    descriptors = set(re.findall(rf"fcntl\({folder[1]}, F_DUPFD_CLOEXEC, 3\) += (\d+)", text))
    opened = re.findall(r'openat2\((\d+), "([^"]*)", \{flags=(\S+),', text)
    files = {name for fd, name, flags in opened if fd in descriptors and "O_DIRECTORY" not in flags}
    assert files == {"src/d3/f3"}


def test_a_cached_build_imports_few_modules(built: tuple[Path, Path]) -> None:
    program = (
        "import sys\n"
        "from builder.cli.main import main\n"
        f"main(['build', '-q', '--store', {str(built[1])!r}, '-t', 'counted', {str(built[0])!r}])\n"
        "print(*sorted(name for name in sys.modules if name.startswith('builder.')), sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = done.stdout.split("\n")[1:-1]
    print(f"{len(modules)} modules")
    assert "builder.engine.build" in modules
    assert len(modules) <= MODULES, modules


# --- instructions


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core's walk and fingerprint as a program, built as the extension is."""
    if not shutil.which("valgrind"):
        pytest.skip("no valgrind here")
    program = tmp_path_factory.mktemp("c") / "scan"
    sources = [str(ROOT / "tests/c/scan.c"), *(str(CSRC / f"{name}.c") for name in SCANNED)]
    line = [
        "gcc",
        "-std=gnu11",
        "-D_GNU_SOURCE",
        "-O2",
        "-pthread",
        f"-I{CSRC}",
        *sources,
        "-o",
        str(program),
    ]
    subprocess.run(line, check=True)
    return program


def instructions(program: Path, folder: Path, index: Path) -> int:
    """How many instructions a scan takes that finds everything in its index."""
    line = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        str(program),
        str(folder),
        str(index),
    ]
    subprocess.run(line[3:], check=True)  # writes the index
    done = subprocess.run(line, capture_output=True, text=True)
    if "Unrecognised instruction" in done.stderr or "unhandled syscall" in done.stderr:
        pytest.skip("this valgrind does not know the machine")
    assert done.returncode == 0, done.stderr
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


def test_an_entry_takes_few_instructions(built: tuple[Path, Path], scanner: Path, tmp_path: Path) -> None:
    larger = make_context(tmp_path / "context", 60)
    small = instructions(scanner, built[0], tmp_path / "small")
    large = instructions(scanner, larger, tmp_path / "large")
    each = (large - small) / (40 * (FILES + 1))
    print(f"{each:.0f} instructions an entry")
    assert each <= INSTRUCTIONS_PER_ENTRY
