"""The core's operations on a tree of 10,000 files, and a cached build; `make bench` times them."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import builder
from builder.buildfile.parse import parse
from builder.cache.key import Part, key_of
from builder.core.changes import settle
from builder.core.files import Copier, CopyOptions
from builder.core.tar import TarWriter
from builder.core.tree import Ignore, Tree, hash_bytes, listing_diff


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, dice = tmp_path_factory.mktemp("tree"), random.Random(1)
    for number in range(10_000):
        path = root / f"d{number % 100}" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(dice.randbytes(dice.randrange(2000)))
    return root


def scan(root: Path, index: str | None = None) -> bytes:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Tree(fd, index=index) as found:
            fingerprint = found.fingerprint(found.find(b""))
            if index and found.stats().files_hashed:
                found.save(index)
            return fingerprint
    finally:
        os.close(fd)


def test_scan_cold(benchmark: BenchmarkFixture, tree: Path) -> None:
    benchmark(scan, tree)


def test_scan_with_index(benchmark: BenchmarkFixture, tree: Path, tmp_path: Path) -> None:
    index = str(tmp_path / "index")
    scan(tree, index)
    assert benchmark(scan, tree, index) == scan(tree)


def test_tar(benchmark: BenchmarkFixture, tree: Path) -> None:
    def write() -> int:
        fd, size = os.open(tree, os.O_RDONLY | os.O_DIRECTORY), 0
        with TarWriter(fd, layer=True) as tar:
            while chunk := tar.read():
                size += len(chunk)
        os.close(fd)
        return size

    assert benchmark(write) > 10_000_000


def test_hash_a_megabyte(benchmark: BenchmarkFixture) -> None:
    data = random.Random(2).randbytes(1 << 20)
    assert len(benchmark(hash_bytes, data, data[:192])) == 16


def test_save_an_index(benchmark: BenchmarkFixture, tree: Path, tmp_path: Path) -> None:
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    with Tree(fd) as found:
        found.fingerprint(0)
        benchmark(found.save, str(tmp_path / "index"))
    os.close(fd)
    assert (tmp_path / "index").stat().st_size > 10_000 * 100


def test_diff_of_listings(benchmark: BenchmarkFixture, tree: Path, tmp_path: Path) -> None:
    fd, secret = os.open(tree, os.O_RDONLY | os.O_DIRECTORY), bytes(192)
    for name, rules in (("old", None), ("new", Ignore(["d7/f107"]))):
        with Tree(fd, ignore=rules, secret=secret) as found:
            found.save_listing([0], str(tmp_path / name))
    os.close(fd)
    changes, total = benchmark(listing_diff, str(tmp_path / "old"), str(tmp_path / "new"), secret)
    assert total == 1 and changes[0].path == "d7/f107"


def test_copy(benchmark: BenchmarkFixture, tree: Path, tmp_path: Path) -> None:
    copies = iter(range(1000))

    def empty() -> tuple[tuple[Path], dict[str, object]]:
        target = tmp_path / str(next(copies))
        target.mkdir()
        return (target,), {}

    def copy(target: Path) -> int:
        source, root = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (tree, target))
        with Tree(source) as found, Copier(root, CopyOptions(uid=0, gid=0)) as copier:
            copier.add(found, 0, b"/")
            files = copier.finish().files
        os.close(source)
        os.close(root)
        return files

    assert benchmark.pedantic(copy, setup=empty, rounds=5) == 10_000


def test_fingerprint_of_changes(benchmark: BenchmarkFixture, tree: Path) -> None:
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    assert benchmark(settle, fd, -1, bytes(192)).entries > 10_000
    os.close(fd)


def test_key(benchmark: BenchmarkFixture) -> None:
    parts = [Part("env", f"NAME{number}", "value" * (number % 7)) for number in range(100)]
    assert len(benchmark(key_of, parts, bytes(192))) == 16


def test_parse_2000_lines(benchmark: BenchmarkFixture) -> None:
    text = b"FROM base\n" + b"ENV A=1 B=${A:-x}\nRUN make $A\nCOPY a b /c/\n" * 666
    assert len(benchmark(parse, text, "Buildfile").instructions) == 1999


def test_cached_build(benchmark: BenchmarkFixture, tree: Path, tmp_path: Path) -> None:
    file = tmp_path / "Buildfile"
    file.write_text("FROM scratch\nCOPY . /all\n")

    def build() -> str:
        return builder.build(str(tree), file=str(file), store=str(tmp_path / "store")).image_id

    build()
    assert benchmark(build) == build()


def patterns(count: int) -> list[str]:
    """Ignore rules of the kinds that people write, none of which matches a file of the tree."""
    kinds = (
        "**/*.ext{}",
        "docs{}/nothing/**",
        "**/build{}/",
        "docs/*/gen{}*.md",
        "**/a*b*c{}*",
        "!keep{}.txt",
    )
    return [kinds[number % len(kinds)].format(number) for number in range(count)]


# Rules that share what they begin or end with, with one another and with all names.
ALIKE = [
    kind.format(number)
    for number in range(100)
    for kind in ("**/*-{}t", "**/*a?{}*.txt", "**/*[ab]{}[cd]", "**/*q{}*", "**/f-{}*")
]

# Rules that leave nearly every name with another set of rules that may still match.
TANGLED = [f"**/*{number // 100}*{number // 10 % 10}*{number % 10}*q" for number in range(500)]


@pytest.mark.parametrize(
    "rules", [[], patterns(500), ALIKE, TANGLED], ids=["none", "ordinary", "alike", "tangled"]
)
@pytest.mark.benchmark(group="walk with ignore rules")
def test_walk_with_ignore_rules(benchmark: BenchmarkFixture, tree: Path, rules: list[str]) -> None:
    ignore = Ignore(rules) if rules else None

    def walk() -> int:
        fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with Tree(fd, ignore=ignore) as found:
                found.glob(b"**/none", double_star=True)
                return found.stats().entries
        finally:
            os.close(fd)

    assert benchmark(walk) == 10_100
