"""Index files: what they spare, when they are not believed, and that nothing in them can do harm."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.core.tree import Ignore, Tree, TreeStats

SECRET = random.Random(5).randbytes(192)
ROOT = Path(__file__).resolve().parents[3]


def scan(
    root: Path, index: Path, *, save: bool = True, secret: bytes = SECRET, ignore: list[str] | None = None
) -> tuple[bytes, TreeStats]:
    """A build's use of a tree: fingerprint everything with the index, then write it anew."""
    fd = os.open(root, os.O_RDONLY)
    try:
        rules = Ignore(ignore) if ignore is not None else None
        with Tree(fd, secret=secret, index=str(index), ignore=rules) as tree:
            found = tree.fingerprint(0)
            if save:
                tree.save(str(index))
            return found, tree.stats()
    finally:
        os.close(fd)


def plain(root: Path) -> bytes:
    return scan(root, root.parent / "no-such-index", save=False)[0]


def settle() -> None:
    """Let files become old enough to be believed."""
    time.sleep(0.05)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "root"
    for i in range(20):
        (folder / f"d{i % 4}" / "sub").mkdir(parents=True, exist_ok=True)
        (folder / f"d{i % 4}" / f"f{i}").write_text(f"file {i}")
        (folder / f"d{i % 4}" / "sub" / f"g{i}").write_text(f"other {i}")
    (folder / "link").symlink_to("d0/f0")
    settle()
    yield folder


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


def test_known_files_are_not_read_again(root: Path, index: Path) -> None:
    first, cold = scan(root, index)
    second, warm = scan(root, index)
    assert first == second
    assert (cold.files_hashed, cold.files_known) == (40, 0)
    assert (warm.files_hashed, warm.files_known, warm.bytes_hashed) == (0, 40, 0)


def test_a_known_tree_costs_little_more_than_a_call_for_each_entry(root: Path, index: Path) -> None:
    for i in range(300):
        (root / "d0" / f"more{i}").write_text("x")
        (root / "d0" / f"link{i}").symlink_to("x")
    settle()
    scan(root, index)
    program = (
        "import os, sys\n"
        "from builder.core.tree import Tree\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "with Tree(fd, secret=bytes.fromhex(sys.argv[2]), index=sys.argv[3]) as tree:\n"
        "    os.write(2, b'')\n"
        "    tree.fingerprint(0)\n"
        "    os.write(2, b'')\n"
    )
    command = ["strace", "-f", sys.executable, "-c", program, str(root), SECRET.hex(), str(index)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=dict(os.environ, PYTHONPATH=str(ROOT))
    )
    if done.returncode or 'write(2, ""' not in done.stderr:
        pytest.skip("strace cannot trace here")
    middle = re.split(r'write\(2, "".*\n', done.stderr)[1]
    # A call that another thread's line cuts in two is one call.
    lines = [line for line in middle.splitlines() if " resumed>" not in line]
    calls = [re.sub(r"^\[pid +\d+\] ", "", line).split("(")[0] for line in lines]
    entries = 660
    assert len(calls) <= 1.3 * entries, f"{len(calls)} calls"
    assert calls.count("flistxattr") <= 1
    assert not {"readlinkat", "read", "pread64"} & set(calls)


@pytest.mark.parametrize("same_size", [True, False])
def test_an_edit_is_seen(root: Path, index: Path, same_size: bool) -> None:
    scan(root, index)
    (root / "d0" / "f0").write_text("FILE 0" if same_size else "longer than it was")
    found, stats = scan(root, index)
    assert found == plain(root)
    assert stats.files_hashed == 1


def test_an_edit_with_its_time_set_back_is_seen(root: Path, index: Path) -> None:
    file = root / "d0" / "f0"
    before, times = scan(root, index)[0], file.stat()
    file.write_text("FILE 0")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_mtime_ns == times.st_mtime_ns
    found, _ = scan(root, index)
    assert found != before
    assert found == plain(root)


def test_edits_at_the_moment_of_a_scan_are_seen(root: Path, index: Path) -> None:
    """Same size, same file, as fast as can be: times alone could not tell them apart."""
    file = root / "d0" / "f0"
    for i in range(300):
        with file.open("r+") as stream:
            stream.write(f"{i:06}")
        found, _ = scan(root, index)
        with file.open("r+") as stream:
            stream.write(f"{i:05}x")
        again, _ = scan(root, index)
        assert again != found
    assert again == plain(root)


def test_files_of_the_last_moment_are_not_remembered(root: Path, index: Path) -> None:
    fd = os.open(root, os.O_RDONLY)
    with Tree(fd, secret=SECRET, index=str(index)) as tree:
        (root / "fresh").write_text(
            "x"
        )  # after the scan began, so that it is too young however long that takes
        tree.fingerprint(0)
        tree.save(str(index))
    os.close(fd)
    assert scan(root, index, save=False)[1].files_hashed == 1
    settle()
    scan(root, index)
    assert scan(root, index)[1].files_hashed == 0


def test_files_swapped_by_renames_are_seen(root: Path, index: Path) -> None:
    first, second = root / "d0" / "f0", root / "d0" / "f4"
    for file in (first, second):
        os.utime(file, ns=(10**18, 10**18))
    settle()
    before, _ = scan(root, index)
    first.rename(root / "d0" / "aside")
    second.rename(first)
    (root / "d0" / "aside").rename(second)
    assert first.stat().st_size == second.stat().st_size
    found, _ = scan(root, index)
    assert found != before
    assert found == plain(root)


def test_a_change_of_mode_alone_is_seen(root: Path, index: Path) -> None:
    scan(root, index)
    (root / "d0" / "f0").chmod(0o601)
    assert scan(root, index)[0] == plain(root)


@pytest.mark.parametrize("name", ["d0/f0", "d1", "d1/sub", ""])
def test_a_change_of_attributes_alone_is_seen(root: Path, index: Path, name: str) -> None:
    before, _ = scan(root, index)
    os.setxattr(root / name, "user.a", b"1")
    found, _ = scan(root, index)
    assert found != before
    assert found == plain(root)
    settle()
    scan(root, index)
    assert scan(root, index)[0] == found
    os.removexattr(root / name, "user.a")
    assert scan(root, index)[0] == before


def test_links_that_point_elsewhere_are_seen(root: Path, index: Path) -> None:
    scan(root, index)
    (root / "link").unlink()
    (root / "link").symlink_to("d0/f4")
    assert scan(root, index)[0] == plain(root)


def test_what_was_not_looked_at_stays_known(root: Path, index: Path) -> None:
    scan(root, index)
    fd = os.open(root, os.O_RDONLY)
    with Tree(fd, secret=SECRET, index=str(index)) as tree:
        tree.fingerprint(tree.find(b"d2"))
        tree.save(str(index))
    os.close(fd)
    assert scan(root, index)[1].files_hashed == 0


def test_what_is_gone_is_forgotten(root: Path, index: Path) -> None:
    scan(root, index)
    full = index.stat().st_size
    subprocess.run(["rm", "-r", "d0", "d1"], cwd=root, check=True)
    (root / "d0").write_text("a file now")
    scan(root, index)
    assert index.stat().st_size < full * 0.6
    assert b"sub\0" in index.read_bytes()
    (root / "d2").rename(root / "d1")
    assert scan(root, index)[0] == plain(root)


def test_other_secrets_have_other_indexes(root: Path, index: Path) -> None:
    scan(root, index)
    assert scan(root, index, save=False, secret=SECRET[::-1])[1].files_hashed == 40
    assert scan(root, index, save=False, secret=b"")[1].files_hashed == 40


def test_an_index_of_another_folder_does_no_harm(root: Path, index: Path, tmp_path: Path) -> None:
    scan(root, index)
    subprocess.run(["cp", "-a", root, tmp_path / "copy"], check=True)
    (tmp_path / "copy" / "d0" / "f0").write_text("FILE 0")
    found, stats = scan(tmp_path / "copy", index)
    assert found == plain(tmp_path / "copy")
    assert stats.files_hashed == 40


def test_rules_may_change_between_builds(root: Path, index: Path) -> None:
    everything, _ = scan(root, index)
    some, _ = scan(root, index, ignore=["d0", "!d0/sub/g0", "**/f?"])
    assert some != everything
    assert scan(root, index, ignore=["d0", "!d0/sub/g0", "**/f?"])[1].files_hashed == 0
    assert scan(root, index)[0] == everything


def test_random_edits_are_all_seen(root: Path, index: Path) -> None:
    rng = random.Random(6)
    for round_ in range(60):
        files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        folders = [path for path in root.rglob("*") if path.is_dir()] + [root]
        victim = rng.choice(files)
        match rng.randrange(7):
            case 0:
                victim.write_text(f"{rng.random()}")
            case 1:
                victim.unlink()
            case 2:
                victim.rename(rng.choice(folders) / f"moved{round_}")
            case 3:
                victim.chmod(rng.choice([0o600, 0o644, 0o755]))
            case 4:
                (rng.choice(folders) / f"new{round_}").mkdir()
            case 5:
                victim.replace(rng.choice(files))
            case 6:
                (rng.choice(folders) / f"link{round_}").symlink_to("x" * rng.randint(1, 9))
        assert scan(root, index)[0] == plain(root), round_


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_file_systems_that_keep_whole_seconds(tmp_path: Path, index: Path) -> None:
    """ext4 with small inodes: two edits in one second leave the same times."""
    image, root = tmp_path / "image", tmp_path / "mounted"
    root.mkdir()
    with image.open("wb") as stream:
        stream.truncate(4 << 20)
    made = subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-I", "128", "-O", "^has_journal", image],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("mkfs.ext4 is not here")
    if subprocess.run(["mount", "-o", "loop", image, root], capture_output=True, check=False).returncode:
        pytest.skip("no loop devices here")
    try:
        file = root / "file"
        time.sleep(1.05 - time.time() % 1)  # near the beginning of a second
        file.write_text("first")
        time.sleep(0.3)
        before, _ = scan(root, index)
        file.write_text("other")
        found, _ = scan(root, index)
        assert found != before
    finally:
        subprocess.run(["umount", root], check=True)


# --- damage


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A small tree, its fingerprint and its index, with no secret: so that a forger can sign what he writes."""
    root = tmp_path_factory.mktemp("sample") / "root"
    for i in range(6):
        (root / f"d{i % 2}" / "e").mkdir(parents=True, exist_ok=True)
        (root / f"d{i % 2}" / f"f{i}").write_text(str(i))
    settle()
    index = root.parent / "index"
    found, _ = scan(root, index, secret=b"")
    return root, found, index.read_bytes()


def _harmless(sample: tuple[Path, bytes, bytes], data: bytes) -> None:
    root, expected, _ = sample
    index = root.parent / "damaged"
    index.write_bytes(data)
    assert scan(root, index, save=False, secret=b"")[0] == expected
    fd = os.open(root, os.O_RDONLY)
    with Tree(fd, index=str(index)) as tree:  # writes what the index knows of folders not looked at
        tree.find(b"d1/f1")
        tree.save(str(index))
    os.close(fd)
    assert index.stat().st_size < 100_000
    assert scan(root, index, secret=b"")[0] == expected


@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_bytes_and_cuts_are_as_no_index(
    sample: tuple[Path, bytes, bytes], data: st.DataObject
) -> None:
    damaged = bytearray(sample[2])
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    _harmless(sample, bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


def _sign(data: bytearray) -> bytes:
    """Give a forged index the fingerprint that it needs."""
    import xxhash

    data[48:64] = xxhash.xxh3_128_digest(bytes(data[64:]))
    return bytes(data)


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_signed_forgeries_do_no_harm(sample: tuple[Path, bytes, bytes], data: st.DataObject) -> None:
    """Names, parents and children of nodes that point anywhere: at worst the index is not used."""
    forged = bytearray(sample[2])
    count = int.from_bytes(forged[20:24], "little")
    value = st.one_of(st.integers(0, count + 1), st.sampled_from([2**31, 2**32 - 2, 2**32 - 1]))
    for _ in range(data.draw(st.integers(1, 6))):
        node, field = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, 4))
        at = 64 + node * 120 + field * 4
        forged[at : at + 4] = data.draw(value).to_bytes(4, "little")
    _harmless(sample, _sign(forged))


def test_children_shared_by_folders_do_not_multiply(
    sample: tuple[Path, bytes, bytes], tmp_path: Path
) -> None:
    """Each folder's children are the next two nodes: followed blindly, that is 2 to the power of 40 nodes."""
    forged = bytearray(sample[2])
    nodes = 60
    root_node = forged[64 : 64 + 120]
    body = bytearray()
    for i in range(nodes):
        node = bytearray(root_node)
        links = (0, max(i - 1, 0), i + 1 if i < nodes - 2 else 0, 2 if i < nodes - 2 else 0, 0xFFFFFFFF)
        for field, number in enumerate(links):
            node[field * 4 : field * 4 + 4] = number.to_bytes(4, "little")
        body += node
    names = b"d0\0"
    forged[20:24] = nodes.to_bytes(4, "little")
    forged[24:32] = len(names).to_bytes(8, "little")
    _harmless(sample, _sign(forged[:64] + body + names))


def test_an_index_that_is_no_file_is_as_none(root: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("folder", "pipe", "link", "missing"):
        assert scan(root, tmp_path / name, save=False)[0] == plain(root)


def test_a_place_that_cannot_be_written_is_named(root: Path, tmp_path: Path) -> None:
    from builder.errors import CoreError

    with pytest.raises(CoreError, match="no/index") as caught:
        scan(root, tmp_path / "no" / "index")
    assert caught.value.errno == 2
    (tmp_path / "folder" / "x").mkdir(parents=True)
    with pytest.raises(CoreError):
        scan(root, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "root"]
