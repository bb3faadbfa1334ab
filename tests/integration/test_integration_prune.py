"""du and prune: what they say, what goes, and what stays because somebody needs it."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import DEADLINE

from builder.store.runs import new_run
from builder.store.states import SCRATCH
from builder.store.store import Store, open_store

Run = Callable[..., "subprocess.CompletedProcess[str]"]
FILE = "FROM scratch\nCOPY a /a\nCOPY b /b\nWORKDIR /w\n"


def write(context: Path, a: str = "a", b: str = "b") -> None:
    (context / "Buildfile").write_text(FILE)
    (context / "a").write_text(a)
    (context / "b").write_text(b * 50_000)


def du(pybuild: Run, *flags: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pybuild("du", "--format", "json", *flags).stdout)
    return found


def prune(pybuild: Run, *flags: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pybuild("prune", "--format", "json", *flags).stdout)
    return found


def kinds(found: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in found["items"]:
        counts[item["kind"]] = counts.get(item["kind"], 0) + 1
    return counts


def on_disk(store: Path) -> int:
    """What `du` of the system says; but for the folders themselves, which are not the cache's."""
    done = subprocess.run(["du", "-s", "-B1", str(store)], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def files(store: Path, *folders: str) -> list[str]:
    return [path.name for folder in folders for path in (store / folder).iterdir()]


def test_sizes_are_those_on_the_disk(pybuild: Run, context: Path, store: Path) -> None:
    write(context)
    pybuild("build", "-t", "app", context)
    found = du(pybuild)
    # Beside items there are only a dozen folders, locks and small files.
    assert abs(found["total"] - on_disk(store)) < 100_000
    assert kinds(found) == {"step": 3, "image": 1, "index": 1, "syntax": 1}
    (image,) = found["images"]
    assert image["size"] == image["own"] == sum(item["size"] for item in found["items"] if item["images"])
    assert "app:latest" in pybuild("du", "--by", "image").stdout
    assert "COPY a /a" in pybuild("du", "--by", "step").stdout
    assert "steps" in pybuild("du").stdout
    assert "Reclaimable:" in pybuild("du", "-v").stdout


def test_an_image_with_a_name_keeps_what_it_needs(pybuild: Run, context: Path, store: Path) -> None:
    write(context)
    pybuild("build", "-t", "app", context)
    write(context, b="c")
    pybuild("build", "-t", "other", context)
    pybuild("rmi", "other")
    pruned = prune(pybuild)
    assert kinds(pruned) == {"step": 2}  # COPY b and WORKDIR of the second build
    assert "hit" in pybuild("build", "--progress", "plain", "-t", "new", context, ok=False).stderr
    write(context)
    again = pybuild("build", "--progress", "plain", "-t", "app", context).stderr
    assert "3 steps: 3 hits" in again


def test_rmi_and_prune_give_the_bytes_back(pybuild: Run, context: Path, store: Path) -> None:
    pybuild("images")
    empty = on_disk(store)
    write(context)
    pybuild("build", "-t", "app", context)
    pybuild("build", "-o", f"type=oci,dest={context.parent / 'x.tar'}", context)
    full = on_disk(store)
    pybuild("rmi", "app")
    pruned = prune(pybuild, "--all")
    assert files(store, "snapshots", "blobs/sha256", "listings", "indexes", "runs") == []
    assert on_disk(store) - empty < 60_000  # the database has learned what was built
    assert abs((full - on_disk(store)) - pruned["freed"]) < 60_000
    assert kinds(du(pybuild)) == {}


def test_a_dry_run_changes_nothing_and_says_the_same(pybuild: Run, context: Path, store: Path) -> None:
    write(context)
    pybuild("build", context)
    before = sorted(str(path) for path in store.rglob("*"))
    wished = prune(pybuild, "--dry-run")
    assert sorted(str(path) for path in store.rglob("*")) == before
    done = prune(pybuild)
    assert [item["id"] for item in wished["items"]] == [item["id"] for item in done["items"]]
    assert wished["freed"] == done["freed"] > 100_000


def test_shared_files_are_counted_once_and_freed_with_their_last_user(
    pybuild: Run, context: Path, store: Path
) -> None:
    (context / "tree").mkdir()
    for number in range(300):
        (context / "tree" / str(number)).write_bytes(os.urandom(5000))
    (context / "Buildfile").write_text("FROM scratch\nCOPY tree /tree\n")
    pybuild("build", "-t", "one", context)
    (context / "tree" / "7").write_bytes(os.urandom(6000))
    pybuild("build", "-t", "two", context)
    found = du(pybuild)
    steps = [item for item in found["items"] if item["kind"] == "step"]
    assert len(steps) == 2
    assert all(step["shared"] > 299 * 4096 for step in steps)
    assert abs(found["total"] - on_disk(store)) < 100_000
    assert all(image["own"] < image["size"] - 299 * 8192 + 1 for image in found["images"])
    pybuild("rmi", "one")
    before = on_disk(store)
    wished = prune(pybuild, "--dry-run")
    first = prune(pybuild)
    assert first["freed"] < 300 * 8192  # its blob, but its files are those of the other image
    assert abs(before - on_disk(store) - first["freed"]) < 60_000
    assert abs(wished["freed"] - first["freed"]) < 60_000
    assert abs(du(pybuild)["total"] - on_disk(store)) < 100_000
    pybuild("rmi", "two")
    assert prune(pybuild)["freed"] > 300 * 8192


def age(store: Path, hours: float) -> None:
    """Make everything look as if it had been made and used so long ago."""
    seconds = hours * 3600
    with sqlite3.connect(store / "pybuild.db") as database:
        for table, column in (
            ("states", "created"),
            ("records", "created"),
            ("images", "created"),
            ("build_steps", "started"),
        ):
            database.execute(f"UPDATE {table} SET {column} = {column} - {seconds}")
    database.close()
    for folder in ("indexes", "caches", "blobs/sha256"):
        for path in (store / folder).glob("*"):
            os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def test_until_spares_what_a_build_used_lately(pybuild: Run, context: Path, store: Path) -> None:
    write(context)
    pybuild("build", context)
    write(context, b="c")
    pybuild("build", context)
    age(store, 30)
    write(context)
    assert "3 hits" in pybuild("build", "--progress", "plain", context).stderr
    assert kinds(prune(pybuild, "--filter", "until=48h")) == {}
    assert kinds(prune(pybuild, "--filter", "unused-for=1d", "--dry-run")) == {"step": 2, "image": 1}
    assert kinds(prune(pybuild, "--filter", "until=1d")) == {"step": 2, "image": 1}
    assert "3 hits" in pybuild("build", "--progress", "plain", context).stderr


def test_filters(pybuild: Run, context: Path) -> None:
    write(context)
    pybuild("build", "-t", "app", context)
    write(context, b="c")
    pybuild("build", context)
    step = next(item["id"] for item in du(pybuild)["items"] if item["kind"] == "step" and not item["images"])
    assert kinds(du(pybuild, "--filter", "type=image")) == {"image": 2}
    assert kinds(du(pybuild, "--filter", "shared")) == {"step": 3, "image": 1}
    assert kinds(du(pybuild, "--filter", "description~=WORKDIR", "--filter", "private")) == {"step": 1}
    assert [item["id"] for item in du(pybuild, "--filter", f"id={step[:10]}")["items"]] == [step]
    assert kinds(prune(pybuild, "--filter", "type=index")) == {"index": 1}
    assert kinds(prune(pybuild, "--filter", "type=step")) == {}  # an image without a name stands on them
    assert kinds(prune(pybuild, "--filter", "type!=index")) == {"step": 2, "image": 1}
    for wrong in ("until=yesterday", "colour=red", "type=nothing", "id~=(", "inuse=perhaps", "=", "id="):
        refused = pybuild("prune", "--filter", wrong, ok=False)
        assert refused.returncode == 2, wrong
        assert refused.stderr.startswith("error: --filter"), refused.stderr


def test_spaces_as_buildkit_reckons_them(pybuild: Run, context: Path) -> None:
    for letter in "bcdef":
        write(context, b=letter)
        pybuild("build", context)
    size = sum(item["counted"] for item in du(pybuild)["items"])
    assert kinds(prune(pybuild, "--keep-storage", "1g")) == {}
    assert kinds(prune(pybuild, "--max-used-space", "1g")) == {}
    assert kinds(prune(pybuild, "--min-free-space", "1k")) == {}
    some = prune(pybuild, "--max-used-space", str(size // 2))
    left = sum(item["counted"] for item in du(pybuild)["items"])
    assert size // 4 < left <= size // 2
    assert some["freed"] == size - left
    # The oldest went: the newest is there as it was.
    assert "3 hits" in pybuild("build", "--progress", "plain", context).stderr
    assert kinds(prune(pybuild, "--max-used-space", "1", "--reserved-space", "1g")) == {}
    assert kinds(prune(pybuild, "--min-free-space", "1000t", "--all"))["step"] >= 2


def test_all_removes_records_of_files_that_stay(pybuild: Run, context: Path) -> None:
    write(context)
    pybuild("build", "-t", "app", context)
    assert prune(pybuild, "--all")["records"] == 3
    again = pybuild("build", "--progress", "plain", "-t", "app", context).stderr
    assert "3 misses" in again


def test_what_was_pruned_is_told(pybuild: Run, context: Path, store: Path) -> None:
    write(context)
    pybuild("build", context)
    with sqlite3.connect(store / "pybuild.db") as database:
        keys = [row[0] for row in database.execute("SELECT key FROM records")]
    database.close()
    prune(pybuild)
    with open_store(str(store)) as opened:
        assert all(opened.evictions.when(key) is not None for key in keys)


def test_times_to_come_are_those_of_now(pybuild: Run, context: Path, store: Path) -> None:
    """The clock was set back: what was made before is no younger than what is made now, and grows old."""
    write(context)
    pybuild("build", context)
    age(store, -1000)
    assert kinds(prune(pybuild, "--filter", "until=24h")) == {}
    used = [item["last_used"] for item in du(pybuild, "--filter", "type=step")["items"]]
    assert all(
        abs(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.time()) < 86400 for text in used
    )
    age(store, 30)
    assert kinds(prune(pybuild, "--filter", "until=24h"))["step"] == 3


def all_of_terminal(leader: int) -> str:
    """What a terminal shows that nobody writes to any more; it comes in pieces."""
    shown = b""
    try:
        while more := os.read(leader, 10_000):
            shown += more
    except OSError:  # how a terminal ends
        pass
    return shown.decode()


def test_a_step_that_changed_nothing_does_not_name_the_files_below_it(pybuild: Run, tmp_path: Path) -> None:
    (tmp_path / "Buildfile").write_text("FROM base\nRUN true\n")
    pybuild("build", tmp_path)
    assert [item["name"] for item in du(pybuild)["items"] if item["kind"] == "layer"] == ["[1/2] FROM base"]


def test_nobody_is_asked_without_a_terminal_and_no_means_no(pybuild: Run, context: Path, store: Path) -> None:
    write(context)
    pybuild("build", context)
    import pty

    for answer, left in (("n\n", 3), ("\n", 3), ("y\n", 0)):
        leader, follower = pty.openpty()
        os.write(leader, answer.encode())
        done = pybuild("prune", stdin=follower, stderr=follower, stdout=subprocess.PIPE, capture_output=False)
        os.close(follower)
        shown = all_of_terminal(leader)
        os.close(leader)
        assert "Go on? [y/N]" in shown
        assert ("nothing was removed" in shown) is bool(left), shown
        assert done.returncode == 0
        assert kinds(du(pybuild)).get("step", 0) == left
    pybuild("build", context)
    pybuild("prune", stdin=subprocess.DEVNULL)
    assert "step" not in kinds(du(pybuild))


def test_a_state_below_a_used_one_and_caches_in_use_stay(pybuild: Run, context: Path, store: Path) -> None:
    write(context)
    pybuild("build", context)
    with open_store(str(store)) as opened:
        (row,) = opened.database.all("SELECT id FROM states WHERE id NOT IN (SELECT parent FROM states)")
        assert len(opened.chain(row[0])) == 3
        pruned = prune(pybuild)
        assert kinds(pruned) == {"image": 1}
        assert pruned["busy"] == 1
        assert [item["in_use"] for item in du(pybuild, "--filter", "type=step")["items"]] == [True] * 3
        assert kinds(du(pybuild, "--filter", "inuse")) == {"step": 3}
        assert all(os.path.isdir(store / path) for path in opened.lowers(row[0]))
    assert kinds(prune(pybuild)) == {"step": 3}


@contextmanager
def waiting(pybuild: Run, store: Path, *line: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has got to the point where it waits for its standard input."""
    env = dict(os.environ, PYBUILD_STORE=str(store))
    started = subprocess.Popen(
        [sys.executable, "-m", "builder", *map(str, line)],
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        yield started
    finally:
        started.communicate("go\n", timeout=DEADLINE)


def test_a_container_keeps_its_image(pybuild: Run, context: Path, store: Path, bases: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN echo x > /x\n")
    image = pybuild("build", "-q", context).stdout.strip()
    with waiting(
        pybuild, store, "run", "-i", image, "sh", "-c", "echo ready; read line; cat /x"
    ) as container:
        pruned = prune(pybuild)
        assert "step" not in kinds(pruned)
        assert pruned["busy"] >= 1
        assert container.poll() is None
    assert container.returncode == 0
    assert kinds(prune(pybuild))["step"] == 1


def test_a_cache_mount_goes_when_nobody_uses_it(pybuild: Run, context: Path, store: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM base\nRUN --mount=type=cache,target=/c dd if=/dev/zero of=/c/big bs=1k count=300 && touch /c/x\n"
    )
    pybuild("build", context)
    (cache,) = (item for item in du(pybuild)["items"] if item["kind"] == "cache")
    assert cache["size"] > 300_000
    assert cache["name"] == "cache mount /c"
    folder = os.open(store / "caches" / cache["id"], os.O_RDONLY)
    import fcntl

    fcntl.flock(folder, fcntl.LOCK_SH)
    assert "cache" not in kinds(prune(pybuild, "--filter", "type=exec.cachemount"))
    os.close(folder)
    assert prune(pybuild, "--filter", "type=exec.cachemount")["freed"] > 300_000
    assert files(store, "caches") == []
    pybuild("build", "--no-cache", context)
    assert (store / "caches" / cache["id"] / "x").exists()


def adopt(store: Store, parent: bytes, name: str) -> bytes:
    """A state with one file, made by hand."""
    state = os.urandom(16)
    with new_run(store.fd, store.path) as run:
        with open(os.path.join(store.path, run.upper, name), "w") as stream:
            stream.write(name)
        store.states.adopt(run, state, parent, entries=1, size=len(name))
    return state


def test_a_state_made_on_another_keeps_it(tmp_path: Path) -> None:
    """From the moment on that a build found a state until it has made the next."""
    path = str(tmp_path / "store")
    with open_store(path) as build:
        low = adopt(build, SCRATCH, "low")
        with open_store(path) as other:
            assert other.states.get(low) is not None
        high = adopt(build, low, "high")
        line = [sys.executable, "-m", "builder", "prune", "--store", path, "--format", "json"]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["items"] == []
        assert len(build.chain(high)) == 2
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["items"]) == 2


@pytest.mark.parametrize("folder", ["blobs/sha256", "snapshots", "listings", "indexes", "runs", "."])
def test_what_nothing_names_goes(pybuild: Run, context: Path, store: Path, folder: str) -> None:
    write(context)
    pybuild("build", "-t", "app", context)
    lost = store / folder / (".1234" if folder in (".", "indexes") else "0123456789abcdef")
    if folder in ("snapshots", "runs"):
        (lost / "fs" / "deep").mkdir(parents=True)
        (lost / "fs" / "deep" / "file").write_bytes(bytes(100_000))
    else:
        lost.write_bytes(bytes(100_000))
    with open_store(str(store)):
        prune(pybuild)
        assert lost.exists() is (folder != "runs")  # somebody may be making it just now
    assert prune(pybuild)["freed"] >= 100_000 or folder == "runs"
    assert not lost.exists()
    assert "3 hits" in pybuild("build", "--progress", "plain", context).stderr


def test_a_limit_is_kept_during_a_build_and_the_newest_stays(
    pybuild: Run, context: Path, store: Path
) -> None:
    limit = 6_000_000
    assert "6.0 MB" in pybuild("prune", "--set-limit", str(limit)).stdout
    lines = ["FROM base AS start"]
    lines += [
        f"FROM start AS s{i}\nRUN dd if=/dev/urandom of=/f{i} bs=1k count=500\nRUN true > /{i}"
        for i in range(8)
    ]
    (context / "Buildfile").write_text("\n".join(lines) + "\n")
    largest = 0
    for number in range(8):
        done = pybuild(
            "build", "--progress", "plain", "--target", f"s{number}", "-o", "type=cacheonly", context
        )
        assert "larger than its limit" not in done.stderr
        largest = max(largest, on_disk(store))
        assert du(pybuild)["total"] <= limit
    assert largest < limit + 200_000
    # It was the oldest that went, each time.
    there = {name for item in du(pybuild)["items"] for name in re.findall(r"of=/f(\d)", item["name"])}
    assert sorted(map(int, there)) == list(range(8 - len(there), 8)) and 2 <= len(there) < 8
    last = pybuild("build", "--progress", "plain", "--target", "s7", "-o", "type=cacheonly", context).stderr
    assert "3 hits" in last
    first = pybuild("build", "--progress", "plain", "--target", "s0", "-o", "type=cacheonly", context).stderr
    assert "1 hit, 2 misses" in first
    assert "prune" in first  # it says why


def test_what_a_build_uses_is_no_room(pybuild: Run, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is too small for one build: it ends all the same, with a warning."""
    (context / "Buildfile").write_text(
        "FROM base\n" + "".join(f"RUN dd if=/dev/urandom of=/f{i} bs=1k count=200\n" for i in range(4))
    )
    done = pybuild("build", "--progress", "plain", "--store-limit", "1m", "-t", "app", context)
    assert done.stderr.count("larger than its limit") == 1
    assert pybuild("run", "app", "ls", "/f0", "/f3").returncode == 0
    assert "0 misses" in pybuild("build", "--progress", "plain", "-t", "app", context).stderr
    monkeypatch.setenv("PYBUILD_STORE_LIMIT", "lots")
    assert pybuild("build", context, ok=False).returncode == 2
