"""Changes of a context that times do not tell: each is noticed by the next build, on a file system whose clock goes by seconds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import builder
from builder.core.tree import Tree
from builder.engine.request import Output

BUILDFILE = "FROM scratch\nCOPY src /src\n"


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A mounted ext4 with small inodes: it keeps whole seconds, so that two edits in one leave the same times."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path_factory.mktemp("coarse")
    image, mounted = folder / "image", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as stream:
        stream.truncate(16 << 20)
    line = ["mkfs.ext4", "-q", "-F", "-I", "128", "-O", "^has_journal", image]
    if subprocess.run(line, capture_output=True).returncode:
        pytest.skip("mkfs.ext4 is not here")
    if subprocess.run(["mount", "-o", "loop", image, mounted], capture_output=True).returncode:
        pytest.skip("no loop devices here")
    yield mounted
    subprocess.run(["umount", mounted], check=True)


@pytest.fixture(params=["coarse clock, at once", "fine clock, at once", "fine clock, a while later"])
def moment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def context(request: pytest.FixtureRequest, moment: str, tmp_path: Path) -> Path:
    place = request.getfixturevalue("coarse") if moment.startswith("coarse") else tmp_path
    folder = Path(place) / f"context-{tmp_path.name}"
    for number in range(4):
        (folder / "src" / f"d{number}").mkdir(parents=True)
        for name in "abc":
            (folder / "src" / f"d{number}" / name).write_text(f"{number}{name} as it was")
    (folder / "Buildfile").write_text(BUILDFILE)
    return folder


def built(context: Path, store: Path) -> dict[str, tuple[object, ...]]:
    """What the layer of a build holds; without a store of its own whatever it has is used."""
    archive = context.parent / f"{store.name}.tar"
    builder.build(str(context), store=str(store), outputs=(Output("tar", str(archive)),))
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(archive) as tar:
        for entry in tar:
            stream = tar.extractfile(entry) if entry.isfile() else None
            digest = hashlib.sha256(stream.read()).hexdigest() if stream else ""
            found[entry.name] = (
                entry.type,
                entry.mode,
                digest,
                entry.pax_headers.get("SCHILY.xattr.user.a", ""),
            )
    archive.unlink()
    return found


def _content(src: Path) -> None:
    (src / "d0/a").write_text("0a as it IS!")


def _content_with_its_time_set_back(src: Path) -> None:
    times = (src / "d0/a").stat()
    (src / "d0/a").write_text("0a as it IS!")
    os.utime(src / "d0/a", ns=(times.st_atime_ns, times.st_mtime_ns))


def _swapped_by_renames(src: Path) -> None:
    (src / "d0/a").rename(src / "aside")
    (src / "d0/b").rename(src / "d0/a")
    (src / "aside").rename(src / "d0/b")


def _folders_swapped_by_renames(src: Path) -> None:
    (src / "d0").rename(src / "aside")
    (src / "d1").rename(src / "d0")
    (src / "aside").rename(src / "d1")


def _replaced_by_an_equal_looking_one(src: Path) -> None:
    times = (src / "d0/a").stat()
    (src / "new").write_text("0a as it IS!")
    os.utime(src / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (src / "new").replace(src / "d0/a")


def _mode(src: Path) -> None:
    (src / "d0/a").chmod(0o751)


def _mode_of_a_folder(src: Path) -> None:
    (src / "d2").chmod(0o700)


def _attribute(src: Path) -> None:
    os.setxattr(src / "d0/a", "user.a", b"1")


def _hard_link(src: Path) -> None:
    os.link(src / "d0/a", src / "d3/more")


def _written_through_another_name(src: Path) -> None:
    """The file is edited where no rule and no COPY looks."""
    os.link(src / "d0/a", src.parent / "outside")
    (src.parent / "outside").write_text("0a as it IS!")
    (src.parent / "outside").unlink()


def _written_in_place_by_mmap(src: Path) -> None:
    import mmap

    with (src / "d0/a").open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as memory:
        memory[0:2] = b"!!"


EDITS: tuple[Callable[[Path], None], ...] = (
    *(_content, _content_with_its_time_set_back, _swapped_by_renames, _folders_swapped_by_renames),
    *(_replaced_by_an_equal_looking_one, _mode, _mode_of_a_folder, _attribute, _hard_link),
    *(_written_through_another_name, _written_in_place_by_mmap),
)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__.strip("_"))
def test_is_noticed(context: Path, moment: str, tmp_path: Path, edit: Callable[[Path], None]) -> None:
    if moment.startswith("coarse"):
        time.sleep(1.02 - time.time() % 1 if time.time() % 1 > 0.5 else 0)  # all of it in one second
    before = built(context, tmp_path / "store")
    if moment.endswith("later"):
        time.sleep(0.05)
        assert built(context, tmp_path / "store") == before
    edit(context / "src")
    after = built(context, tmp_path / "store")
    assert after != before
    assert after == built(context, tmp_path / "fresh")


def test_files_replaced_during_the_walk(tmp_path: Path) -> None:
    """Another process replaces files all the time: whatever scans saw, the last one sees what is there at the end."""
    root, index = tmp_path / "root", str(tmp_path / "index")
    for number in range(12):
        (root / f"d{number}").mkdir(parents=True)
        for name in "abcd":
            (root / f"d{number}" / name).write_text("first")
    stop = threading.Event()

    def replace() -> None:
        number = 0
        while not stop.is_set():
            file = root / f"d{number % 12}" / "abcd"[number % 4]
            (tmp_path / "new").write_text(f"{number:05}")
            os.utime(tmp_path / "new", ns=(10**18, 10**18))
            (tmp_path / "new").replace(file)
            number += 1

    def scan(index: str | None) -> bytes:
        fd = os.open(root, os.O_RDONLY)
        try:
            with Tree(fd, index=index) as tree:
                found = tree.fingerprint(0)
                if index is not None:
                    tree.save(index)
                return found
        finally:
            os.close(fd)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        seen, scans = set(), 0
        while scans < 60 or len(seen) < 2:
            scans += 1
            try:
                seen.add(scan(index))
            except builder.BuilderError as error:
                assert "changed while it was read" in error.message
    finally:
        stop.set()
        writer.join()
    assert scan(index) == scan(None)
