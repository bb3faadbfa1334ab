"""Portable digests under the sanitizers, with sound and with forged files of what is known."""

from __future__ import annotations

import os
import random
from pathlib import Path

import xxhash
from test_c_tree import FILE_SOURCES, build, run

from builder.core.portable import Known
from builder.core.tree import Tree

SOURCES = [*FILE_SOURCES, "delta", "deltalisting", "known", "portable", "portablelisting", "sha256"]


def make(root: Path) -> None:
    for number in range(60):
        (root / f"d{number % 3}" / "e").mkdir(parents=True, exist_ok=True)
        (root / f"d{number % 3}" / f"f{number}").write_text("x" * number * 97)
    (root / "large").write_bytes(os.urandom(600_000))
    os.link(root / "large", root / "d1" / "large")  # of one name, and so in one part of an archive
    os.setxattr(root / "d0" / "f0", "user.note", b"a value")
    os.setxattr(root / "d1", "user.overlay.opaque", b"y")
    (root / "link").symlink_to("d1")
    os.mkfifo(root / "pipe")


def forge(data: bytes, rng: random.Random) -> bytes:
    """Damage a file of digests; sometimes with the right fingerprint, as only its owner could."""
    forged = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        forged[rng.randrange(16 if rng.random() < 0.5 else len(forged))] ^= rng.randrange(1, 256)
    if rng.random() < 0.3:
        del forged[rng.randrange(len(forged)) :]
    return bytes(forged)


def test_nothing_is_read_or_written_out_of_place(tmp_path: Path) -> None:
    root, rng = tmp_path / "root", random.Random(4)
    make(root)
    sound = tmp_path / "sound"
    fd = os.open(root, os.O_RDONLY)
    with Tree(fd) as tree, Known(str(sound), b"") as known:
        expected = "".join(
            known.digest(tree, 0, without_owner=flags == 1, changes=flags == 2).hex() for flags in range(3)
        )
        known.save()
    os.close(fd)
    files = [str(sound), str(tmp_path / "none")]
    for number in range(60):
        (tmp_path / f"forged{number}").write_bytes(forge(sound.read_bytes(), rng))
        files.append(str(tmp_path / f"forged{number}"))
    lines = run([str(build(tmp_path, "portable_checks", SOURCES)), str(root), *files])
    assert len(lines) == 4 * len(files)
    assert set(lines) == {expected}


def test_a_file_whose_entries_are_out_of_order_is_searched_safely(tmp_path: Path) -> None:
    root, rng = tmp_path / "root", random.Random(5)
    make(root)
    known_file = tmp_path / "known"
    fd = os.open(root, os.O_RDONLY)
    with Tree(fd) as tree, Known(str(known_file), b"") as known:
        expected = known.digest(tree, 0)
        known.save()
    data = known_file.read_bytes()
    entries = [data[48 + at : 96 + at] for at in range(0, len(data) - 48, 48)]
    rng.shuffle(entries)
    body = b"".join(entries)
    known_file.write_bytes(data[:32] + xxhash.xxh3_128_digest(body) + body)
    with Tree(fd) as tree, Known(str(known_file), b"") as known:
        assert known.digest(tree, 0) == expected  # found or not, nothing wrong is taken
    os.close(fd)


def test_threads_do_not_touch_the_same_at_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(root)
    program = build(tmp_path, "portable_checks", SOURCES, "thread")
    for number in range(3):
        assert len(set(run([str(program), str(root), str(tmp_path / f"none{number}")]))) == 1
