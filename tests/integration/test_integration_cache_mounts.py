"""Cache mounts that travel, and the commands that look after them."""

from __future__ import annotations

import json
import os
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from registry_server import run_registry
from remote_machines import Machine, NewMachine, blob, manifest_of, put, rewrite_records

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


def mounts_of(cache: Path) -> list[dict[str, Any]]:
    document = json.loads(blob(cache, manifest_of(cache)["config"]["digest"]).read_text())
    mounts: list[dict[str, Any]] = document["mounts"]
    return mounts


def packs(cache: Path) -> set[str]:
    return {pack["digest"] for mount in mounts_of(cache) for part in mount["parts"] for pack in part["packs"]}


def listings(cache: Path) -> list[str]:
    return [part["listing"]["digest"] for mount in mounts_of(cache) for part in mount["parts"]]


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
    assert len(one) >= 2
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
        # One file, and the few bytes of the one that the step adds: however many files there are, nothing else moves.
        (deep / "7").write_bytes(os.urandom(300_000))
        assert 300_000 < moved(3) < 330_000
        # Attributes, owners and modes are changes, too, and come back.
        os.setxattr(deep / "8", "user.told", b"so")
        os.chown(deep / "8", 7, 8)
        (deep / "8").chmod(0o4711)
        assert 300_000 < moved(4) < 330_000
        second.build("--build-arg", "ROUND=5", "-o", "type=cacheonly", "--cache-from", cache)
        (there,) = (second.store / "caches").glob("*/deep")
        for number in range(60):
            assert (there / f"{number}").read_bytes() == (deep / f"{number}").read_bytes()
        seen = (there / "8").stat()
        assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o7777) == (7, 8, 0o4711)
        assert os.getxattr(there / "8", "user.told") == b"so"


def test_an_edit_of_one_small_file_of_many_moves_that_file(fill: NewMachine, tmp_path: Path) -> None:
    """Bytes on their way to a registry and back, of a mount of some thousand files and 20 MB."""
    with run_registry(tmp_path / "registry") as registry:
        cache = f"type=registry,ref={registry.host}/mounts/many:c"
        first, second, third = fill(), fill(), fill()
        for one in (first, second, third):
            one.write("Buildfile", f"FROM base\nARG ROUND\nRUN {MOUNT} echo $ROUND > /said\n")

        def traffic(one: Machine, number: int, *args: str) -> dict[str, int]:
            built = one.build("--build-arg", f"ROUND={number}", "-o", "type=cacheonly", *args)
            return dict(built.report["traffic"])

        to = ("--cache-to", f"{cache},mounts=true")
        traffic(first, 1, *to)
        (mount,) = (path for path in (first.store / "caches").iterdir() if path.is_dir())
        for number in range(4000):
            (mount / f"d{number % 40}").mkdir(exist_ok=True)
            (mount / f"d{number % 40}" / f"{number}").write_bytes(os.urandom(5_000))
        everything = traffic(first, 2, *to)["pushed"]
        assert everything > 20_000_000
        (mount / "d7" / "7").write_bytes(os.urandom(1_000))
        (mount / "d8" / "8").unlink()
        edited = traffic(first, 3, *to)
        assert edited["pushed"] < 12_000
        assert edited["fetched"] < 8_000  # what is there is looked up; what is in it the store knows
        # A machine with nothing gets all once; one that has changed a file sends that, and has to know what is there.
        got = traffic(second, 4, "--cache-from", cache)["fetched"]
        assert got < everything + edited["pushed"] + 10_000
        (there,) = (path for path in (second.store / "caches").iterdir() if path.is_dir())
        assert contents(there) == contents(mount)
        (there / "d9" / "9").write_bytes(os.urandom(1_000))
        other = traffic(second, 5, *to)
        assert other["pushed"] < 12_000
        assert other["fetched"] < 300_000  # the listings: some 45 bytes a file
        traffic(third, 6, "--cache-from", cache)
        (last,) = (path for path in (third.store / "caches").iterdir() if path.is_dir())
        assert contents(last) == contents(there)


def contents(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, int(path.stat().st_mtime), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_machines_that_export_in_turn_lose_and_mix_nothing(fill: NewMachine, tmp_path: Path) -> None:
    """Each export is the mount of the machine that wrote it, whatever the place had before."""
    cache = tmp_path / "cache"
    to, source = f"type=local,dest={cache},mode=max,mounts=true", f"type=local,src={cache}"
    first, second = fill(), fill()
    before(first, 1, "--cache-to", to)
    before(second, 2, "--cache-from", source)
    machines = {"first": first, "second": second}
    mounts = {
        name: next(path for path in (one.store / "caches").iterdir() if path.is_dir())
        for name, one in machines.items()
    }
    rng = random.Random(3)
    for number in range(3, 7):
        name = ("first", "second")[number % 2]
        for _ in range(4):
            path = mounts[name] / "deep" / f"f{rng.randrange(12)}"
            if path.exists() and rng.random() < 0.4:
                path.unlink()
            else:
                path.write_bytes(rng.randbytes(rng.randrange(9000)))
        before(machines[name], number, "--cache-to", to)
        third = fill()
        before(third, 100 + number, "--cache-from", source)
        (there,) = (path for path in (third.store / "caches").iterdir() if path.is_dir())
        found = contents(there)
        assert found.pop(f"round-{100 + number}")
        assert found == contents(mounts[name])


@pytest.mark.parametrize("harm", ["flip", "gone", "lies"])
def test_a_listing_that_is_damaged_costs_a_whole_export(fill: NewMachine, tmp_path: Path, harm: str) -> None:
    """Of one that is not what its digest says nothing is believed; one that lies with the right digest is refused or corrected."""
    cache = tmp_path / "cache"
    to, source = f"type=local,dest={cache},mode=max,mounts=true", f"type=local,src={cache}"
    first, second, third = fill(), fill(), fill()
    before(first, 1, "--cache-to", to)
    before(second, 2, "--cache-from", source)
    (listing,) = listings(cache)
    path = blob(cache, listing)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    if harm == "flip":
        path.write_bytes(data)
    if harm == "gone":
        path.unlink()
    if harm == "lies":

        def swap(document: dict[str, Any]) -> None:
            document["mounts"][0]["parts"][0]["listing"]["digest"] = put(cache, bytes(data[:-20]))
            document["mounts"][0]["parts"][0]["listing"]["size"] = len(data) - 20

        rewrite_records(cache, swap)
        manifest_lists(cache, put(cache, bytes(data[:-20])))
    before(second, 3, "--cache-to", to)
    assert before(third, 4, "--cache-from", source) == ["deep", "link", "round-1", "round-2", "round-3"]
    assert len(listings(cache)) == 1


def manifest_lists(cache: Path, digest: str) -> None:
    """Let the last manifest of a cache name one more blob."""
    index = json.loads((cache / "index.json").read_text())
    manifest = manifest_of(cache)
    manifest["layers"].append(
        manifest["layers"][0] | {"digest": digest, "size": blob(cache, digest).stat().st_size}
    )
    text = json.dumps(manifest).encode()
    index["manifests"][-1] |= {"digest": put(cache, text), "size": len(text)}
    (cache / "index.json").write_text(json.dumps(index))


def test_a_mount_as_earlier_versions_wrote_it_is_read(fill: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    to, source = f"type=local,dest={cache},mode=max,mounts=true", f"type=local,src={cache}"
    before(fill(), 1, "--cache-to", to)

    def as_before(document: dict[str, Any]) -> None:
        for mount in document["mounts"]:
            mount["packs"] = [pack for part in mount.pop("parts") for pack in part["packs"]]

    rewrite_records(cache, as_before)
    second = fill()
    assert before(second, 2, "--cache-from", source, "--cache-to", to) == ["deep", "link", "round-1"]
    assert before(fill(), 3, "--cache-from", source) == ["deep", "link", "round-1", "round-2"]


def hostile_tar(path: Path) -> None:
    """A pack that wants to remove and write things outside."""
    with tarfile.open(path, "w") as archive:
        for name in ("../../../victim", "/victim", "up/victim", "..", ".", "nosuch/deep"):
            entry = tarfile.TarInfo(name)
            entry.type = b"R"
            archive.addfile(entry)
        link = tarfile.TarInfo("up")
        link.type, link.linkname = tarfile.SYMTYPE, "../.."
        archive.addfile(link)
        removal = tarfile.TarInfo("up/victim")
        removal.type = b"R"
        archive.addfile(removal)
        file = tarfile.TarInfo("good")
        archive.addfile(file)


def test_a_pack_removes_and_writes_nothing_outside_its_mount(fill: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    to, source = f"type=local,dest={cache},mode=max,mounts=true", f"type=local,src={cache}"
    before(fill(), 1, "--cache-to", to)
    second = fill()
    victims = [second.store / "victim", second.store.parent / "victim"]
    hostile_tar(tmp_path / "hostile.tar")
    data = (tmp_path / "hostile.tar").read_bytes()
    name = put(cache, data)

    def swap(document: dict[str, Any]) -> None:
        packed = document["mounts"][0]["parts"][0]["packs"][0]
        packed |= {"digest": name, "diff_id": name, "size": len(data), "tar_size": len(data)}
        packed["mediaType"] = "application/vnd.oci.image.layer.v1.tar"

    rewrite_records(cache, swap)
    before(second, 2)
    second.command("cache", "mounts", "rm", "/cache")
    for victim in victims:
        victim.write_text("still here")
    assert "good" in before(second, 3, "--cache-from", source)
    assert all(victim.exists() for victim in victims)


def test_a_signed_export_builds_on_nothing_that_others_wrote(
    fill: NewMachine, tmp_path: Path, pybuild: Run
) -> None:
    pybuild("cache", "keygen", tmp_path / "key")
    cache = tmp_path / "cache"
    to = f"type=local,dest={cache},mode=max,mounts=true,sign={tmp_path}/key"
    first = fill()
    before(first, 1, "--cache-to", to)
    before(first, 2, "--cache-to", to)
    assert len(listings(cache)) == 2
    rewrite_records(cache, lambda document: None, signature="AAAA")
    before(first, 3, "--cache-to", to)
    assert len(listings(cache)) == 1
    source = f"type=local,src={cache},trust={tmp_path}/key.pub"
    assert before(fill(), 4, "--cache-from", source) == ["deep", "link", "round-1", "round-2", "round-3"]


@pytest.mark.parametrize("size", [(65, 1), (1, 1001)])
def test_a_document_with_too_many_parts_or_packs_is_none(
    fill: NewMachine, tmp_path: Path, size: tuple[int, int]
) -> None:
    cache = tmp_path / "cache"
    before(fill(), 1, "--cache-to", f"type=local,dest={cache},mode=max,mounts=true")

    def swap(document: dict[str, Any]) -> None:
        (part, *_) = document["mounts"][0]["parts"]
        part["packs"] = part["packs"][:1] * size[1]
        document["mounts"][0]["parts"] = [part] * size[0]

    rewrite_records(cache, swap)
    assert before(fill(), 2, "--cache-from", f"type=local,src={cache}") == []


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

        def swap(document: dict[str, Any]) -> None:
            for pack in document["mounts"][0]["parts"][0]["packs"]:
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
