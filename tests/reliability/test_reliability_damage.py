"""Bytes of the store's files that are flipped, and files that are cut: a miss, a warning or a clear error, never a wrong image.

PYBUILD_DAMAGES (14) says how often.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

DAMAGES = int(os.environ.get("PYBUILD_DAMAGES", "14"))
SEED = int(os.environ.get("PYBUILD_SEED", "1"))
FILE = """FROM base
COPY tree /tree
RUN cat /tree/* > /sum
WORKDIR /w
"""


def call(store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, PYBUILD_STORE=str(store))
    return subprocess.run(
        [sys.executable, "-m", "builder", *words], capture_output=True, text=True, env=env, timeout=120
    )


class Sample:
    """A store with an image, to be copied and damaged."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder, self.context = folder, folder / "context"
        (self.context / "tree").mkdir(parents=True)
        for number in range(210):
            (self.context / "tree" / f"{number}").write_text(f"{number}\n" * (number % 7))
        (self.context / "Buildfile").write_text(FILE)
        self.flags = ["--progress", "plain", "--build-context", f"base=oci-layout://{base}", "-t", "app"]
        self.store = folder / "sound"
        done = self.build(self.store)
        assert done.returncode == 0, done.stderr
        self.files = self.result(self.store)

    def build(self, store: Path, *more: str) -> subprocess.CompletedProcess[str]:
        return call(store, "build", *self.flags, *more, str(self.context))

    def result(self, store: Path) -> str:
        """What is in the image, as its user sees it."""
        done = call(
            store, "run", "app", "sh", "-c", "cat /sum /tree/* | md5sum; ls -ln /tree | md5sum; ls -ld /w"
        )
        assert done.returncode == 0, done.stderr
        return "\n".join(line.split("Nov")[0][:40] for line in done.stdout.splitlines())

    def copy(self, name: str) -> Path:
        store = self.folder / name
        subprocess.run(["cp", "-a", str(self.store), str(store)], check=True)
        return store


@pytest.fixture(scope="module")
def sample(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("damage"), bases / "base")


def targets(store: Path) -> list[Path]:
    """Every file of the store but those that are in images: see docs/store.md on snapshots."""
    return sorted(
        path
        for path in store.rglob("*")
        if path.is_file() and not path.is_symlink() and "/fs/" not in str(path) and path.stat().st_size
    )


def damage(path: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        size = rng.randrange(len(data))
        path.write_bytes(data[:size])
        return f"{path.name} cut to {size} of {len(data)}"
    flips = []
    for _ in range(rng.choice((1, 1, 4, 64))):
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
        flips.append(at)
    path.write_bytes(data)
    return f"{path.name} of {len(data)} flipped at {flips[:5]}"


def check_clear(done: subprocess.CompletedProcess[str], what: str) -> None:
    assert "Traceback" not in done.stderr, f"{what}: {done.stderr}"
    assert "a mistake in pybuild" not in done.stderr, f"{what}: {done.stderr}"
    assert done.returncode in (0, 1), f"{what}: {done.returncode} {done.stderr}"
    if done.returncode:
        assert "error: " in done.stderr, f"{what}: {done.stderr}"


@pytest.mark.timeout(60 + 30 * DAMAGES)
def test_damaged_files(sample: Sample) -> None:
    rng = random.Random(SEED)
    kinds = sorted({path.relative_to(sample.store).parts[0] for path in targets(sample.store)})
    told = built = 0
    for number in range(DAMAGES):
        store = sample.copy(f"damaged-{number}")
        kind = kinds[number % len(kinds)]  # each kind as often, however many files it has
        chosen = rng.choice([path for path in targets(store) if path.relative_to(store).parts[0] == kind])
        what = damage(chosen, rng)
        for words in (["images"], ["du"], ["save", "app", "-o", str(store.parent / "saved.tar")]):
            check_clear(call(store, *words), f"{words[0]}: {what}")
        done = sample.build(store)
        check_clear(done, what)
        if done.returncode:
            told += 1
            assert "hint: " in done.stderr, f"{what}: {done.stderr}"
        else:
            built += 1
            assert sample.result(store) == sample.files, what
        check_clear(call(store, "prune", "--force", "--all"), f"prune: {what}")
        shutil.rmtree(store)
    print(f"{built} builds went on, {told} ended with an error that says what to do")


@pytest.mark.parametrize("name", ["secret", "pybuild.db"])
def test_the_way_out_that_an_error_tells(sample: Sample, name: str) -> None:
    store = sample.copy(f"way-{name}")
    path = store / name
    path.write_bytes(path.read_bytes()[:100])
    for suffix in ("-wal", "-shm"):
        (store / f"pybuild.db{suffix}").unlink(missing_ok=True)
    done = sample.build(store)
    assert done.returncode == 1
    assert "hint: " in done.stderr
    assert "pybuild doctor --repair" in done.stderr or "remove" in done.stderr


def test_rows_that_nobody_wrote(sample: Sample) -> None:
    """Values of a foreign kind in every column: no traceback, and no wrong image."""
    rng = random.Random(SEED)
    with sqlite3.connect(sample.store / "pybuild.db") as database:
        columns = [
            (table, column[1])
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for column in database.execute(f"PRAGMA table_info({table})").fetchall()
            if not table.startswith("sqlite")
        ]
    database.close()
    for table, column in rng.sample(columns, min(len(columns), max(5, DAMAGES // 4))):
        store = sample.copy(f"rows-{table}-{column}")
        value = rng.choice(["text", b"bytes", -1, 1 << 62, 1.5, "", "[[1]]", "sha256:" + "0" * 64, bytes(16)])
        with sqlite3.connect(store / "pybuild.db") as database:
            try:
                database.execute(f"UPDATE OR REPLACE {table} SET {column} = ?", (value,))
            except sqlite3.IntegrityError:
                continue
        database.close()
        what = f"{table}.{column} = {value!r}"
        for words in (["images"], ["du", "-v"], ["prune", "--dry-run"], ["report"]):
            check_clear(call(store, *words), f"{words[0]}: {what}")
        done = sample.build(store)
        check_clear(done, what)
        if not done.returncode:
            assert sample.result(store) == sample.files, what
        shutil.rmtree(store)
