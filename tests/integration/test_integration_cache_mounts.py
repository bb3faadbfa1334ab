"""Cache mounts that travel, and the commands that look after them."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from conftest import Run
from registry_server import run_registry
from remote_machines import Machine, NewMachine, blob, manifest_of, rewrite_records

MOUNT = "--mount=type=cache,target=/cache"
# Says what the cache mount held before, and adds to it.
FILL = f"""\
FROM base
ARG ROUND
RUN {MOUNT} ls /cache > /before && mkdir -p /cache/deep && echo $ROUND > /cache/round-$ROUND && \
  [ -e /cache/deep/large ] || {{ seq 1 400000 > /cache/deep/large; seq 1 400000 > /cache/deep/other; \
  ln -s deep/large /cache/link; chmod 0640 /cache/deep/other; chown 5:6 /cache/deep/other; }}
"""


@pytest.fixture
def fill(machine: NewMachine) -> NewMachine:
    def new() -> Machine:
        one = machine()
        one.write("Buildfile", FILL)
        return one

    return new


def packs(cache: Path) -> set[str]:
    manifest = manifest_of(cache)
    document = json.loads(blob(cache, manifest["config"]["digest"]).read_text())
    return {pack["digest"] for mount in document["mounts"] for pack in mount["packs"]}


def before(one: Machine, number: int, *args: str | Path) -> list[str]:
    """Run the step anew; what its cache mount held then."""
    out = one.store.parent / f"out-{number}"
    one.build("--build-arg", f"ROUND={number}", "-o", out, *args)
    return (out / "before").read_text().split()


def test_a_cache_mount_goes_from_machine_to_machine(fill: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    to, source = f"type=local,dest={cache},mode=max,mounts=true", f"type=local,src={cache}"
    first, second, third = fill(), fill(), fill()
    assert before(first, 1, "--cache-to", to) == []
    one = packs(cache)
    assert len(one) >= 3
    assert before(second, 2, "--cache-from", source, "--cache-to", to) == ["deep", "link", "round-1"]
    # Only the pack with the new file is another; nothing else moved.
    two = packs(cache)
    assert len(two - one) == 1
    assert before(third, 3, "--cache-from", source) == ["deep", "link", "round-1", "round-2"]
    # As it was: modes, owners, links, contents.
    tar = tmp_path / "mount.tar"
    third.command("cache", "mounts", "export", "/cache", tar)
    with tarfile.open(tar) as archive:
        other = archive.getmember("deep/other")
        assert (other.mode, other.uid, other.gid) == (0o640, 5, 6)
        assert archive.getmember("link").linkname == "deep/large"
        large = archive.extractfile("deep/large")
        assert large is not None
        assert large.read() == b"".join(b"%d\n" % number for number in range(1, 400001))
    # One that is there already stays.
    assert before(first, 4, "--cache-from", source) == ["deep", "link", "round-1"]


def test_only_what_changed_in_a_mount_moves(fill: NewMachine, tmp_path: Path) -> None:
    """Bytes on their way to a registry, and extended attributes on their way back."""
    with run_registry(tmp_path / "registry") as registry:
        cache = f"type=registry,ref={registry.host}/mounts/c:c"
        to = f"{cache},mounts=true,compression=uncompressed"
        first, second = fill(), fill()

        def moved(number: int) -> int:
            built = first.build("--build-arg", f"ROUND={number}", "-o", "type=cacheonly", "--cache-to", to)
            pushed: int = built.report["traffic"]["pushed"]
            return pushed

        moved(1)
        (deep,) = (first.store / "caches").glob("*/deep")
        for number in range(60):
            (deep / f"{number}").write_bytes(os.urandom(300_000))
        assert moved(2) > 18_000_000
        # One file, and the one that the step adds: two of eight packs at most, however many files there are.
        (deep / "7").write_bytes(os.urandom(300_000))
        assert 300_000 < moved(3) < 9_000_000
        # Attributes, owners and modes are changes, too, and come back.
        os.setxattr(deep / "8", "user.told", b"so")
        os.chown(deep / "8", 7, 8)
        (deep / "8").chmod(0o4711)
        assert 300_000 < moved(4) < 9_000_000
        second.build("--build-arg", "ROUND=5", "-o", "type=cacheonly", "--cache-from", cache)
        (there,) = (second.store / "caches").glob("*/deep")
        for number in range(60):
            assert (there / f"{number}").read_bytes() == (deep / f"{number}").read_bytes()
        seen = (there / "8").stat()
        assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o7777) == (7, 8, 0o4711)
        assert os.getxattr(there / "8", "user.told") == b"so"


def test_a_mount_of_steps_that_were_cached_is_not_lost(fill: NewMachine, tmp_path: Path) -> None:
    cache, other = tmp_path / "cache", tmp_path / "other"
    first, second = fill(), fill()
    before(first, 1, "--cache-to", f"type=local,dest={cache},mode=max,mounts=true")
    args = (
        "--cache-from",
        f"type=local,src={cache}",
        "--cache-to",
        f"type=local,dest={other},mode=max,mounts=true",
    )
    built = second.build("--build-arg", "ROUND=1", *args)
    assert built.outcomes() == ["hit"]
    assert packs(other) == packs(cache)
    assert all(blob(other, digest).is_file() for digest in packs(other))


def test_mounts_stay_at_home_unless_asked_for(fill: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before(fill(), 1, "--cache-to", f"type=local,dest={cache},mode=max")
    assert packs(cache) == set()


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "lies"])
def test_a_mount_that_is_damaged_is_as_good_as_none(fill: NewMachine, tmp_path: Path, harm: str) -> None:
    cache = tmp_path / "cache"
    before(fill(), 1, "--cache-to", f"type=local,dest={cache},mode=max,mounts=true")
    paths = [blob(cache, digest) for digest in packs(cache)]
    for path in paths:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data if harm == "flip" else data[:-9]) if harm in ("flip", "cut") else None
        path.unlink() if harm == "gone" else None
    if harm == "lies":

        def swap(document: dict) -> None:  # type: ignore[type-arg]
            for pack in document["mounts"][0]["packs"]:
                pack["diff_id"] = f"sha256:{'1' * 64}"

        rewrite_records(cache, swap)
    second = fill()
    assert before(second, 2, "--cache-from", f"type=local,src={cache}") == []
    assert before(second, 3) == ["deep", "link", "round-2"]


def test_mounts_are_listed_moved_and_removed(pybuild: Run, context: Path, tmp_path: Path) -> None:
    assert pybuild("cache", "mounts").stdout.split() == ["NAME", "SIZE", "ENTRIES", "USED", "ID"]
    (context / "Buildfile").write_text(
        "FROM base\nRUN --mount=type=cache,id=tools,target=/t echo one > /t/one\n"
        "RUN --mount=type=cache,target=/other,mode=0700 echo two > /other/two\n"
    )
    pybuild("build", context)
    listed = json.loads(pybuild("cache", "mounts", "ls", "--json").stdout)
    assert {(mount["id"], mount["entries"], mount["size"]) for mount in listed} == {
        ("tools", 1, 4),
        ("/other", 1, 4),
    }
    archive = tmp_path / "tools.tar"
    pybuild("cache", "mounts", "export", "tools", archive)
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["one"]
    pybuild("cache", "mounts", "rm", "tools", "/other")
    assert json.loads(pybuild("cache", "mounts", "ls", "--json").stdout) == []
    # Into a store that never had it: the next build finds it.
    pybuild("cache", "mounts", "import", "tools", archive)
    (context / "Buildfile").write_text(
        "FROM base\nRUN --mount=type=cache,id=tools,target=/t cat /t/one > /found\n"
    )
    pybuild("build", "-o", tmp_path / "out", context)
    assert (tmp_path / "out" / "found").read_text() == "one\n"
    # In place of what is there.
    with tarfile.open(archive, "w") as tar:
        tar.add(context / "Buildfile", "new")
    pybuild("cache", "mounts", "import", "tools", archive)
    pybuild("cache", "mounts", "export", "tools", archive)
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["new"]
    # What was to write the archive has failed: nothing is lost.
    empty = pybuild("cache", "mounts", "import", "tools", ok=False, input="")
    assert (empty.returncode, "standard input is empty" in empty.stderr) == (1, True)
    assert json.loads(pybuild("cache", "mounts", "ls", "--json").stdout)[0]["entries"] == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["mounts", "rm", "nosuch"], 'no cache mount "nosuch"'),
        (["mounts", "rm"], "wrong words"),
        (["mounts", "burn"], 'there is no "burn"'),
        (["nosuch"], 'there is no "nosuch"'),
        (["mounts", "import", "x", "/nosuch.tar"], "cannot be read"),
        (["mounts", "import", "x", "/etc/hostname"], "cannot be unpacked"),
        (["keygen"], "the name of the key's file is missing"),
        (["keygen", "/nosuch/folder/key"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(pybuild: Run, line: list[str], words: str) -> None:
    failed = pybuild("cache", *line, ok=False)
    assert failed.returncode in (1, 2)
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_mount_in_use_is_not_touched(pybuild: Run, context: Path, store: Path, tmp_path: Path) -> None:
    import fcntl

    (context / "Buildfile").write_text(
        "FROM base\nRUN --mount=type=cache,id=tools,target=/t echo one > /t/one\n"
    )
    pybuild("build", context)
    (lock,) = (store / "caches").glob("*.lock")
    fd = os.open(lock, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        for line in (["rm", "tools"], ["export", "tools", tmp_path / "x.tar"]):
            failed = pybuild("cache", "mounts", *line, ok=False)
            assert failed.returncode == 1
            assert "is used by a build" in failed.stderr
    finally:
        os.close(fd)
