"""A folder copied past the overlay: the outcome of the mount, and hashes that are known instead of read."""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.core.changes import Changes, settle
from builder.core.facts import Facts
from builder.core.files import Copier, CopyOptions, copy_folder
from builder.core.process import overlay_mount
from builder.core.tar import TarWriter
from builder.core.tree import Tree
from builder.errors import CoreError

SECRET = bytes(range(192))
OPTIONS = CopyOptions(uid=0, gid=0, time=10**18)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount an overlay here")


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    # Not on an overlay, as a container's own files may be: that takes no upper directory.
    yield tmp_path


def fill(root: Path, dice: random.Random, entries: int) -> None:
    """Folders, files and links with few names, so that two such trees overlap."""
    folders = [root]
    for _ in range(entries):
        path = dice.choice(folders) / dice.choice("abcdef")
        if path.is_symlink() or path.exists():
            continue
        kind = dice.choice("ddffffl")
        if kind == "d":
            path.mkdir()
            path.chmod(dice.choice([0o755, 0o700, 0o2775]))
            folders.append(path)
        elif kind == "f":
            path.write_bytes(dice.randbytes(dice.choice([0, 3, 5000])))
            path.chmod(dice.choice([0o644, 0o755, 0o4711]))
        else:
            path.symlink_to(dice.choice(["a", "/b", "nowhere"]))
    if dice.random() < 0.5:
        files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        if files:
            os.link(dice.choice(files), root / "hard link")


def through_mount(place: Path, lower: Path, source: Path, upper: Path) -> None:
    base, fd = opened(place), opened(source)
    (place / "work").mkdir()
    root = overlay_mount(base, [lower.name], upper.name, "work")
    try:
        with Tree(fd, secret=SECRET) as tree, Copier(root, OPTIONS) as copier:
            copier.add(tree, 0, b"/app")
            copier.finish()
    finally:
        for number in (base, fd, root):
            os.close(number)
        shutil.rmtree(place / "work")


def past_mount(lower: Path, source: Path, upper: Path, facts: Facts | None = None) -> None:
    (upper / "app").mkdir()
    numbers = [opened(source), opened(upper), opened(lower)]
    try:
        with Tree(numbers[0], secret=SECRET) as tree:
            tree.fingerprint(0)
            copy_folder(tree, 0, OPTIONS, numbers[1], numbers[2], b"app", known=facts)
    finally:
        for number in numbers:
            os.close(number)


def settled(lower: Path, upper: Path, facts: Facts | None = None) -> Changes:
    numbers = [opened(upper), opened(lower)]
    try:
        return settle(numbers[0], numbers[1], SECRET, facts)
    finally:
        for number in numbers:
            os.close(number)


def tar_of(folder: Path) -> bytes:
    fd, found = opened(folder), b""
    with TarWriter(fd, layer=True, max_mtime=0) as writer:
        while chunk := writer.read():
            found += bytes(chunk)
    os.close(fd)
    return found


def test_the_outcome_is_that_of_the_mount(place: Path) -> None:
    outcomes: set[object] = set()
    for seed in range(60):
        dice, here = random.Random(seed), place / str(seed)
        lower, source, uppers = here / "lower", here / "source", [here / "mount", here / "past"]
        for folder in (here, lower, lower / "app", source, *uppers):
            folder.mkdir()
        fill(lower / "app", dice, dice.choice([0, 4, 20]))
        fill(source, dice, dice.choice([1, 15, 40]))
        found: list[object] = []
        for way, upper in enumerate(uppers):
            try:
                if way:
                    past_mount(lower, source, upper)
                else:
                    through_mount(here, lower, source, upper)
            except CoreError as error:  # of several things that are in the way either may be named
                assert error.errno in (errno.EISDIR, errno.ENOTDIR)
                found.append("in the way")
                continue
            changes = settled(lower, upper)
            found.append((changes.fingerprint, changes.entries, tar_of(upper)))
            outcomes.add(changes.fingerprint)
        assert found[0] == found[1], seed
    assert len(outcomes) > 20


def test_times_before_1970(place: Path) -> None:
    source, target = place / "source", place / "target"
    (source / "d").mkdir(parents=True)
    target.mkdir()
    (source / "f").touch()
    (source / "l").symlink_to("f")
    os.mkfifo(source / "p")
    for name in "dflp":
        os.utime(source / name, ns=(-1, -1_500_000_000), follow_symlinks=False)
    numbers = [opened(source), opened(target)]
    options = CopyOptions(keep_directory_times=True)
    with Tree(numbers[0], secret=SECRET) as tree, Copier(numbers[1], options) as copier:
        copier.add(tree, 0, b"/")
        copier.finish()
    for number in numbers:
        os.close(number)
    assert {name: (target / name).lstat().st_mtime_ns for name in "dflp"} == dict.fromkeys(
        "dflp", -1_500_000_000
    )


def test_a_mark_of_an_overlay_is_refused(place: Path) -> None:
    lower, source, upper = place / "lower", place / "source", place / "upper"
    for folder in (lower, source, upper):
        folder.mkdir()
    os.mknod(source / "gone", stat.S_IFCHR, 0)
    with pytest.raises(CoreError, match="make device gone"):
        past_mount(lower, source, upper)


@pytest.fixture
def copied(place: Path) -> tuple[Path, Path, Facts]:
    """A lower folder, an upper folder with a copy of some files, and what is known of these."""
    lower, source, upper = place / "lower", place / "source", place / "upper"
    for folder in (lower, source, upper):
        folder.mkdir()
    for number in range(300):
        (source / f"f{number}").write_bytes(b"x" * number)
    facts = Facts(SECRET)
    past_mount(lower, source, upper, facts)
    return lower, upper, facts


def test_known_files_are_not_read(copied: tuple[Path, Path, Facts]) -> None:
    lower, upper, facts = copied
    plain, known = settled(lower, upper), settled(lower, upper, facts)
    assert plain.hashed == plain.bytes == sum(range(300))
    assert known.hashed == 0
    assert known.fingerprint == plain.fingerprint
    (upper / "app/f7").write_bytes(b"another")
    changed = settled(lower, upper, facts)
    assert changed.hashed == 7
    assert changed.fingerprint == settled(lower, upper).fingerprint != plain.fingerprint


def test_facts_are_kept_for_one_folder_only(place: Path, copied: tuple[Path, Path, Facts]) -> None:
    lower, upper, facts = copied
    settled(lower, upper, facts)
    base, fd = opened(place), opened(upper)
    assert facts.save(fd, base, "facts")
    with Facts(SECRET) as again:
        assert again.load(fd, base, "facts")
        assert settled(lower, upper, again).hashed == 0
    shutil.copytree(upper, place / "other")
    other = opened(place / "other")
    with Facts(SECRET) as again:
        assert not again.load(other, base, "facts")
        assert settled(lower, place / "other", again).hashed == sum(range(300))
    with Facts(bytes(192)) as foreign:
        assert not foreign.load(fd, base, "facts")
    whole = (place / "facts").read_bytes()
    for at in (0, 9, 16, 40, len(whole) - 1):
        (place / "facts").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with Facts(SECRET) as damaged:
            assert not damaged.load(fd, base, "facts"), at
    (place / "facts").write_bytes(whole[:-1])
    with Facts(SECRET) as cut:
        assert not cut.load(fd, base, "facts")
        assert not cut.load(fd, base, "none")
    for number in (base, fd, other):
        os.close(number)
