"""`pybuild doctor`: it tells what is wrong with a store and changes nothing; with `--mend` the store is sound afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import DEADLINE, PYBUILD
from test_reliability_damage import Sample, call, change, layers

from builder.store.holds import Holds


@pytest.fixture(scope="module")
def sample(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("doctor"), bases / "base")


def doctor(store: Path, *words: str) -> tuple[int, list[dict[str, str]]]:
    done = call(store, "doctor", "--json", *words)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def wrong(found: list[dict[str, str]]) -> list[str]:
    return [one["about"] for one in found if one["state"] == "problem"]


def content(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and not path.is_symlink() and not path.name.endswith(("-shm", "-wal"))
    }


def test_a_sound_store(sample: Sample) -> None:
    before = content(sample.store)
    status, found = doctor(sample.store)
    assert status == 0
    assert {one["state"] for one in found} == {"ok"}, found
    assert [one["about"] for one in found][-4:] == ["database", "blobs", "images", "files"]
    assert content(sample.store) == before
    status, found = doctor(sample.folder / "nowhere")
    assert status == 0
    assert found[-1]["text"].endswith("is not there yet")
    assert not (sample.folder / "nowhere").exists()
    shown = call(sample.store, "doctor").stdout
    assert "ok       database: is sound\n" in shown


@pytest.mark.parametrize("name", ["secret", "pybuild.db"])
def test_what_an_error_says_helps(sample: Sample, name: str) -> None:
    store = sample.copy(f"mended-{name}")
    (store / name).write_bytes((store / name).read_bytes()[:100])
    for suffix in ("-wal", "-shm"):
        (store / f"pybuild.db{suffix}").unlink(missing_ok=True)
    done = sample.build(store)
    assert done.returncode == 1
    assert "pybuild doctor --mend" in done.stderr
    status, found = doctor(store)
    assert (status, wrong(found)) == (1, ["store"])
    status, found = doctor(store, "--mend")
    assert status == 0, found
    assert "docker.io/library/app:latest is back" in [one["text"] for one in found]
    assert sample.result(store) == sample.files
    [kept] = store.glob("set-aside-*")
    assert (kept / name).stat().st_size == 100
    status, found = doctor(store)
    assert {one["state"] for one in found} == {"ok"}, found
    assert sample.build(store).returncode == 0
    assert sample.result(store) == sample.files
    shutil.rmtree(store)


def test_a_database_whose_pages_are_damaged(sample: Sample) -> None:
    """It opens, and is found to be wrong when all of it is read."""
    store = sample.copy("pages")
    call(store, "images")  # brings what is in the journal into the file
    path = store / "pybuild.db"
    data = bytearray(path.read_bytes())
    for at in range(4096 * 3, len(data), 4096):
        data[at : at + 200] = bytes(200)
    path.write_bytes(data)
    for suffix in ("-wal", "-shm"):
        (store / f"pybuild.db{suffix}").unlink(missing_ok=True)
    status, found = doctor(store)
    assert status == 1
    status, found = doctor(store, "--mend")
    assert status == 0, found
    assert sample.result(store) == sample.files
    shutil.rmtree(store)


def test_the_cache_can_be_begun_anew_by_hand(sample: Sample) -> None:
    store = sample.copy("by-hand")
    for path in (store / "secret", *store.glob("pybuild.db*")):
        path.unlink()
    done = sample.build(store)
    assert done.returncode == 0, done.stderr
    assert sample.result(store) == sample.files
    shutil.rmtree(store)


def test_nothing_is_set_aside_while_somebody_uses_the_store(sample: Sample) -> None:
    store = sample.copy("used")
    path = store / "pybuild.db"
    path.write_bytes(b"no database at all" * 100)
    fd = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
    holds = Holds(fd)
    holds.store()
    try:
        status, found = doctor(store, "--mend")
        assert (status, wrong(found)) == (1, ["store"])
        assert "another process uses the store" in found[-1]["text"]
        assert path.read_bytes() == b"no database at all" * 100
    finally:
        holds.close()
        os.close(fd)
    assert doctor(store, "--mend")[0] == 0
    shutil.rmtree(store)


def test_layers_that_were_changed_or_are_missing(sample: Sample) -> None:
    store = sample.copy("blobs")
    first, second = layers(store)[1:3]
    sound = first.read_bytes(), second.read_bytes()
    change(first)
    second.unlink()
    changed = first.read_bytes()
    status, found = doctor(store)
    assert status == 1
    assert wrong(found) == ["blobs", "image"]
    assert first.name[:12] in " ".join(one["text"] for one in found)
    assert first.read_bytes() == changed
    assert not second.exists()
    status, found = doctor(store, "--mend")
    assert status == 0, found
    assert (first.read_bytes(), second.read_bytes()) == sound
    assert {one["state"] for one in doctor(store)[1]} == {"ok"}
    shutil.rmtree(store)


def test_a_layer_that_nobody_can_make_anew_stays_a_problem(sample: Sample) -> None:
    store = sample.copy("base-layer")
    layers(store)[0].unlink()
    status, found = doctor(store, "--mend")
    assert (status, set(wrong(found))) == (1, {"image"})
    assert "build the image again, or pull it" in " ".join(one["hint"] for one in found)
    assert sample.build(store).returncode == 0
    assert doctor(store)[0] == 0
    shutil.rmtree(store)


def test_what_nothing_names_and_what_is_not_there(sample: Sample) -> None:
    store = sample.copy("leftovers")
    (store / "blobs/sha256" / ("0" * 64)).write_bytes(b"")
    (store / "snapshots" / "stray" / "fs").mkdir(parents=True)
    [summed] = store.glob("snapshots/*/fs/sum")
    shutil.rmtree(summed.parent.parent)
    status, found = doctor(store)
    assert status == 1  # that blob is not what its name says
    assert wrong(found) == ["blobs"]
    assert [one["state"] for one in found if one["about"] == "files"] == ["note", "note"]
    status, found = doctor(store, "--mend")
    assert status == 0, found
    assert not (store / "snapshots" / "stray").exists()
    assert sample.build(store).returncode == 0
    assert sample.result(store) == sample.files
    assert {one["state"] for one in doctor(store)[1]} == {"ok"}
    shutil.rmtree(store)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up what it needs")
def test_a_machine_that_cannot_isolate_is_told_what_is_missing(tmp_path: Path) -> None:
    """Root in a container that is not privileged."""
    line = ["setpriv", "--bounding-set=-sys_admin", *PYBUILD, "doctor", "--store", str(tmp_path / "none")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1, done.stderr
    assert "problem  isolation: root does not work: root lacks the capability SYS_ADMIN" in done.stdout
    assert "hint: start the container with --privileged" in done.stdout
