"""The core's trees under the sanitizers of addresses, undefined behaviour and threads, with sound and with forged indexes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import xxhash

from builder.core.tree import Tree

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
SOURCES = [
    "automaton", "program", "collect", "difftext", "directory", "doubles", "error", "glob", "hash", "hashing", "ignore", "index", "linkmap", "listing",
    "listingread", "listingsweep", "lookup", "pattern", "rule", "save", "select", "spill", "tree", "treediff", "walk", "xattrs",
]  # fmt: skip


FILE_SOURCES = [
    *SOURCES,
    *(
        "copy",
        "copyfile",
        "copyfolder",
        "copylinks",
        "facts",
        "linktree",
        "mode",
        "path",
        "tarentry",
        "tarnode",
        "tarpax",
        "tarread",
        "tarwrite",
        "times",
        "unpack",
        "unpackentry",
        "upper",
        "waste",
        "usage",
    ),
]


def build(folder: Path, name: str, sources: list[str], sanitizer: str = "address,undefined") -> Path:
    """One of the programs here, with the core's own sources in it, under the sanitizers."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc here")
    built = folder / name
    flags = [
        "-std=gnu11",
        "-D_GNU_SOURCE",
        "-g",
        "-O1",
        "-pthread",
        "-DPB_LONG=4096",  # so that even small trees lie in files, and rest
        "-DPB_PAUSE=16",
        f"-I{CSRC}",
        "-Wall",
        "-Wextra",
        "-Werror",
    ]
    sanitizers = [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    files = [str(HERE / f"{name}.c"), *(str(CSRC / f"{source}.c") for source in sources)]
    command = ["gcc", *flags, *sanitizers, *files, "-o", str(built)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr and "san" in done.stderr:
        pytest.skip("no sanitizers here")
    assert done.returncode == 0, done.stderr
    return built


def run(command: list[str]) -> list[str]:
    """Run a program; the lines that it prints."""
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="print_stacktrace=1")
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if "LeakSanitizer has encountered a fatal error" in done.stderr:  # no ptrace here
        env["ASAN_OPTIONS"] = "detect_leaks=0"
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("c"), "tree_checks", SOURCES)


def _make(root: Path) -> None:
    for i in range(40):
        (root / f"d{i % 3}" / "e").mkdir(parents=True, exist_ok=True)
        (root / f"d{i % 3}" / f"f{i}").write_text("x" * i * 97)
    (root / "d0" / "e" / "fé\n").write_bytes(os.urandom(600_000))
    for i in range(24):  # enough for a second thread
        (root / f"m{i}" / "n").mkdir(parents=True)
        (root / f"m{i}" / "n" / "file").write_text("y" * i)
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
    lines = run(command)
    assert len(lines) == 1 + 3 * 151
    assert set(lines[1:]) == {expected}


def test_threads_do_not_touch_the_same_at_once(tmp_path: Path) -> None:
    program = build(tmp_path, "tree_checks", SOURCES, "thread")
    root = tmp_path / "root"
    _make(root)
    index = str(tmp_path / "index")
    for _ in range(5):  # what one thread does while the other reads differs
        assert len(set(run([str(program), str(root), index, index])[1:])) == 1


def _damage(archive: bytes, rng: random.Random) -> bytes:
    """An archive with wrong bytes, most of them in headers whose checksum is right again."""
    broken = bytearray(archive)
    for _ in range(rng.randint(1, 4)):
        block = rng.randrange(len(broken) // 512) * 512
        for _ in range(rng.randint(1, 3)):
            broken[block + rng.randrange(512)] = rng.choice(
                [0, 1, 0x2F, 0x31, 0x80, 0xFF, rng.randrange(256)]
            )
        if rng.random() < 0.8:
            broken[block + 148 : block + 156] = b" " * 8
            broken[block + 148 : block + 156] = b"%06o\0 " % sum(broken[block : block + 512])
    if rng.random() < 0.2:
        del broken[rng.randrange(len(broken)) :]
    return bytes(broken)


def test_copies_links_and_archives(tmp_path: Path) -> None:
    program = build(tmp_path, "file_checks", FILE_SOURCES)
    root, rng = tmp_path / "root", random.Random(5)
    _make(root)
    (root / "pipe").unlink()
    (root / "d0" / ("long" * 50)).write_text("a name that needs more than one header")
    (tmp_path / "work").mkdir()
    subprocess.run(["tar", "-C", root, "--format=posix", "-cf", tmp_path / "sound.tar", "."], check=True)
    subprocess.run(["tar", "-C", root, "--format=gnu", "-cf", tmp_path / "gnu.tar", "."], check=True)
    archives = [tmp_path / "sound.tar", tmp_path / "gnu.tar", tmp_path / "removals.tar"]
    with tarfile.open(archives[2], "w") as archive:
        archive.add(root, ".")
        for name in ("d0", "d1/nothing", "link/x", "../..", "f" * 300, "nosuch/deep"):
            removal = tarfile.TarInfo(name)
            removal.type = b"R"
            archive.addfile(removal)
        archive.add(root, "again")
    sound = [archive.read_bytes() for archive in archives]
    for number in range(200):
        archives.append(tmp_path / f"broken{number}.tar")
        archives[-1].write_bytes(_damage(rng.choice(sound), rng))
    lines = run([str(program), str(root), str(tmp_path / "work"), *map(str, archives)])
    assert len(lines) == 5
    assert len(set(lines)) == 1
    assert os.listdir(tmp_path / "work") == []


def test_threads_do_not_race(tmp_path: Path) -> None:
    program = build(tmp_path, "file_checks", FILE_SOURCES, "thread")
    root = tmp_path / "root"
    _make(root)
    (root / "pipe").unlink()
    for number in range(300):
        (root / f"e{number % 7}").mkdir(exist_ok=True)
        (root / f"e{number % 7}" / f"f{number}").write_text("x" * number)
    (tmp_path / "work").mkdir()
    lines = run([str(program), str(root), str(tmp_path / "work")])
    assert len(lines) == 5
    assert len(set(lines)) == 1
