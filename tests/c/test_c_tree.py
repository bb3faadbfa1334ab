"""The core's trees under the address and undefined-behaviour sanitizers, with sound and with forged indexes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import xxhash

from builder.core.tree import Tree

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
SOURCES = [
    "error", "glob", "hash", "hashing", "ignore", "index", "listing", "lookup", "pattern", "rule", "save", "select", "tree",
    "treediff", "walk", "xattrs",
]  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tree_checks` with the core's own sources in it."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc here")
    built = tmp_path_factory.mktemp("c") / "tree_checks"
    flags = [
        "-std=gnu11",
        "-D_GNU_SOURCE",
        "-g",
        "-O1",
        "-pthread",
        f"-I{CSRC}",
        "-Wall",
        "-Wextra",
        "-Werror",
    ]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    sources = [str(CSRC / f"{name}.c") for name in SOURCES]
    command = ["gcc", *flags, *sanitizers, str(HERE / "tree_checks.c"), *sources, "-o", str(built)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr and "san" in done.stderr:
        pytest.skip("no sanitizers here")
    assert done.returncode == 0, done.stderr
    return built


def _make(root: Path) -> None:
    for i in range(40):
        (root / f"d{i % 3}" / "e").mkdir(parents=True, exist_ok=True)
        (root / f"d{i % 3}" / f"f{i}").write_text("x" * i * 97)
    (root / "d0" / "e" / "fé\n").write_bytes(os.urandom(600_000))
    (root / "link").symlink_to("d1")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("/no/such")
    os.mkfifo(root / "pipe")
    os.utime(root / "d0" / "f0", (2**31, 2**31))


def _forge(index: bytes, rng: random.Random) -> bytes:
    """Damage an index; often with the right fingerprint, as only its owner could."""
    forged = bytearray(index)
    count = int.from_bytes(forged[20:24], "little")
    for _ in range(rng.randint(1, 5)):
        node, field = rng.randrange(count), rng.randrange(6)
        value = rng.choice([rng.randrange(count + 2), 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFE])
        at = 64 + node * 120 + field * 4
        forged[at : at + 4] = value.to_bytes(4, "little")
    if rng.random() < 0.2:
        del forged[rng.randrange(len(forged)) :]
    if rng.random() < 0.2:
        forged[rng.randrange(64)] ^= rng.randrange(1, 256)
    if rng.random() < 0.9 and len(forged) > 64:
        forged[48:64] = xxhash.xxh3_128_digest(bytes(forged[64:]))
    return bytes(forged)


def test_nothing_is_read_or_written_out_of_place(program: Path, tmp_path: Path) -> None:
    root, rng = tmp_path / "root", random.Random(9)
    _make(root)
    fd = os.open(root, os.O_RDONLY)
    with Tree(fd) as tree:
        expected = tree.fingerprint(0).hex()
        tree.save(str(tmp_path / "index"))
    os.close(fd)
    index = (tmp_path / "index").read_bytes()
    indexes = []
    for i in range(150):
        file = tmp_path / f"forged{i}"
        file.write_bytes(_forge(index, rng))
        indexes.append(str(file))
    command = [str(program), str(root), str(tmp_path / "scratch"), str(tmp_path / "index"), *indexes]
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="print_stacktrace=1")
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if "LeakSanitizer has encountered a fatal error" in done.stderr:  # no ptrace here
        env["ASAN_OPTIONS"] = "detect_leaks=0"
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 1 + 3 * 151
    assert set(lines[1:]) == {expected}
