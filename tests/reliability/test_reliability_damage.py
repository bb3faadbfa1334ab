"""Bytes of the store's files that are flipped, and files that are cut: a miss, a warning or a clear error, never a wrong image.

PYBUILD_DAMAGES (14) says how often.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import DEADLINE
from registry_server import run_registry

DAMAGES = int(os.environ.get("PYBUILD_DAMAGES", "14"))
SEED = int(os.environ.get("PYBUILD_SEED", "1"))
FILE = """FROM base
COPY tree /tree
RUN cat /tree/* > /sum
WORKDIR /w
"""


def call(store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, PYBUILD_STORE=str(store))
    return subprocess.run(
        [sys.executable, "-m", "builder", *words], capture_output=True, text=True, env=env, timeout=DEADLINE
    )


class Sample:
    """A store with an image, to be copied and damaged."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder, self.context = folder, folder / "context"
        (self.context / "tree").mkdir(parents=True)
        for number in range(210):
            (self.context / "tree" / f"{number}").write_text(f"{number}\n" * (number % 7))
        (self.context / "Buildfile").write_text(FILE)
        self.flags = ["--progress", "plain", "--build-context", f"base=oci-layout://{base}", "-t", "app"]
        self.store = folder / "sound"
        done = self.build(self.store)
        assert done.returncode == 0, done.stderr
        self.files = self.result(self.store)

    def build(self, store: Path, *more: str) -> subprocess.CompletedProcess[str]:
        return call(store, "build", *self.flags, *more, str(self.context))

    def result(self, store: Path) -> str:
        """What is in the image, as its user sees it."""
        files = "stat -c '%A %u %g %s %Y %n' /tree/* | md5sum; stat -c '%A %u %g %n' /tree /w"
        done = call(store, "run", "app", "sh", "-c", f"cat /sum /tree/* | md5sum; {files}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def copy(self, name: str) -> Path:
        store = self.folder / name
        subprocess.run(["cp", "-a", str(self.store), str(store)], check=True)
        return store


@pytest.fixture(scope="module")
def sample(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("damage"), bases / "base")


def targets(store: Path) -> list[Path]:
    """Every file of the store but those that are in images: see docs/store.md on snapshots."""
    return sorted(
        path
        for path in store.rglob("*")
        if path.is_file() and not path.is_symlink() and "/fs/" not in str(path) and path.stat().st_size
    )


def damage(path: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        size = rng.randrange(len(data))
        path.write_bytes(data[:size])
        return f"{path.name} cut to {size} of {len(data)}"
    flips = []
    for _ in range(rng.choice((1, 1, 4, 64))):
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
        flips.append(at)
    path.write_bytes(data)
    return f"{path.name} of {len(data)} flipped at {flips[:5]}"


def check_clear(done: subprocess.CompletedProcess[str], what: str) -> None:
    assert "Traceback" not in done.stderr, f"{what}: {done.stderr}"
    assert "a mistake in pybuild" not in done.stderr, f"{what}: {done.stderr}"
    assert done.returncode in (0, 1), f"{what}: {done.returncode} {done.stderr}"
    if done.returncode:
        assert "error: " in done.stderr, f"{what}: {done.stderr}"


def check_members(archive: Path, what: str) -> None:
    """Every blob in an archive is what its name says."""
    blobs = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.startswith("blobs/sha256/") and member.isreg():
                stream = tar.extractfile(member)
                assert stream is not None
                assert hashlib.sha256(stream.read()).hexdigest() == Path(member.name).name, what
                blobs += 1
    assert blobs >= 6, what


@pytest.mark.timeout(900 + 30 * DAMAGES)
def test_damaged_files(sample: Sample, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    kinds = sorted({path.relative_to(sample.store).parts[0] for path in targets(sample.store)})
    told = built = 0
    for number in range(DAMAGES):
        store = sample.copy(f"damaged-{number}")
        kind = kinds[number % len(kinds)]  # each kind as often, however many files it has
        chosen = rng.choice([path for path in targets(store) if path.relative_to(store).parts[0] == kind])
        what = damage(chosen, rng)
        for words in (["images"], ["du"]):
            check_clear(call(store, *words), f"{words[0]}: {what}")
        saved, written = tmp_path / f"{number}-saved.tar", tmp_path / f"{number}-written.tar"
        done = call(store, "save", "app", "-o", str(saved))
        check_clear(done, f"save: {what}")
        if not done.returncode:
            check_members(saved, what)
        done = sample.build(store, "-o", f"type=oci,dest={written}", "-o", "type=image")
        check_clear(done, what)
        if done.returncode:
            told += 1
            assert "hint: " in done.stderr, f"{what}: {done.stderr}"
        else:
            built += 1
            check_members(written, what)
            assert sample.result(store) == sample.files, what
        check_clear(call(store, "prune", "--force", "--all"), f"prune: {what}")
        shutil.rmtree(store)
    print(f"{built} builds went on, {told} ended with an error that says what to do")


def test_rows_that_nobody_wrote(sample: Sample) -> None:
    """Values of a foreign kind in every column: no traceback, and no wrong image."""
    rng = random.Random(SEED)
    with sqlite3.connect(sample.store / "pybuild.db") as database:
        columns = [
            (table, column[1])
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for column in database.execute(f"PRAGMA table_info({table})").fetchall()
            if not table.startswith("sqlite")
        ]
    database.close()
    for table, column in rng.sample(columns, min(len(columns), max(5, DAMAGES // 4))):
        store = sample.copy(f"rows-{table}-{column}")
        value = rng.choice(["text", b"bytes", -1, 1 << 62, 1.5, "", "[[1]]", "sha256:" + "0" * 64, bytes(16)])
        with sqlite3.connect(store / "pybuild.db") as database:
            try:
                database.execute(f"UPDATE OR REPLACE {table} SET {column} = ?", (value,))
            except sqlite3.IntegrityError:
                continue
        database.close()
        what = f"{table}.{column} = {value!r}"
        for words in (["images"], ["du", "-v"], ["prune", "--dry-run"], ["report"]):
            check_clear(call(store, *words), f"{words[0]}: {what}")
        done = sample.build(store)
        check_clear(done, what)
        if not done.returncode:
            assert sample.result(store) == sample.files, what
        shutil.rmtree(store)


# --- blobs of layers


def layers(store: Path) -> list[Path]:
    """The blobs of the image's layers: the base's, the tree's, the sum's, the folder's."""
    shown = json.loads(call(store, "inspect", "app").stdout)
    image = shown[0] if isinstance(shown, list) else shown
    return [store / "blobs/sha256" / layer["digest"].removeprefix("sha256:") for layer in image["Layers"]]


def change(path: Path, *, cut: bool = False) -> None:
    """Change a blob where it is, with its times as they were, as a bad disk or somebody else would."""
    seen = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as stream:
        stream.write(data)
        stream.truncate(len(data) - (7 if cut else 0))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def check_blobs(folder: Path) -> None:
    """Every blob of a layout is what its name says."""
    blobs = list((folder / "blobs/sha256").iterdir())
    assert len(blobs) >= 6
    for blob in blobs:
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name


def tool(*line: str | Path) -> None:
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, f"{line}: {done.stderr}"


def check_archive(path: Path, folder: Path) -> None:
    """An archive that other tools take, with sound blobs."""
    layout = folder / "layout"
    layout.mkdir(parents=True)
    tool("tar", "xf", path, "-C", layout)
    check_blobs(layout)
    tool("skopeo", "copy", f"oci-archive:{path}", f"oci:{folder / 'copied'}:app")
    tool("umoci", "unpack", "--rootless", "--image", f"{folder / 'copied'}:app", folder / "bundle")


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("cut", [False, True], ids=["flipped", "cut"])
def test_a_layer_that_was_changed_is_not_built_from(
    sample: Sample, tmp_path: Path, number: int, cut: bool
) -> None:
    store = sample.copy(f"layer-{number}-{cut}")
    sample.build(store)  # what is in the copy is proven now
    digest = layers(store)[number].name
    change(layers(store)[number], cut=cut)
    out = tmp_path / "out.tar"
    done = sample.build(store, "-o", f"type=oci,dest={out}")
    assert done.returncode == 0, done.stderr
    assert f"the blob {digest[:12]} in the store is damaged" in done.stderr.replace("sha256:", "")
    check_archive(out, tmp_path / "checked")
    assert layers(store)[number].name == digest, "the same bytes once more"
    assert hashlib.sha256(layers(store)[number].read_bytes()).hexdigest() == digest
    again = sample.build(store, "-o", f"type=oci,dest={out}")
    assert again.returncode == 0
    assert "damaged" not in again.stderr
    shutil.rmtree(store)


@pytest.mark.parametrize("number", range(4))
def test_a_layer_that_was_changed_is_not_saved(sample: Sample, tmp_path: Path, number: int) -> None:
    store = sample.copy(f"saved-{number}")
    change(layers(store)[number], cut=number == 2)
    out = tmp_path / "saved.tar"
    done = call(store, "save", "--format", "oci", "app", "-o", str(out))
    assert "warning: the blob" in done.stderr
    if number == 0:  # it came with its base, whose layout only a build knows
        assert done.returncode == 1
        assert "error: the layer" in done.stderr
        assert "build the image again" in done.stderr
        assert not out.exists()
        assert sample.build(store).returncode == 0
        done = call(store, "save", "--format", "oci", "app", "-o", str(out))
    assert done.returncode == 0, done.stderr
    check_archive(out, tmp_path / "checked")
    shutil.rmtree(store)


def test_a_layer_with_bounded_times_is_made_anew(sample: Sample, tmp_path: Path) -> None:
    """It has other bytes than the one that the same files give without a bound."""
    store = sample.copy("bounded")
    done = sample.build(store, "--reproducible")
    assert done.returncode == 0, done.stderr
    digest = layers(store)[2].name
    change(layers(store)[2])
    out = tmp_path / "saved.tar"
    done = call(store, "save", "--format", "oci", "app", "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert "warning: the blob" in done.stderr
    assert layers(store)[2].name == digest
    check_archive(out, tmp_path / "checked")
    shutil.rmtree(store)


@pytest.mark.parametrize("build", [False, True], ids=["push", "build"])
def test_a_layer_that_was_changed_is_not_pushed(sample: Sample, tmp_path: Path, build: bool) -> None:
    store = sample.copy(f"pushed-{build}")
    with run_registry(tmp_path / "registry") as registry:
        name = f"{registry.host}/app:1"
        assert call(store, "tag", "app", name).returncode == 0
        for blob in layers(store)[0 if build else 1 :]:
            change(blob)
        words = (
            ["build", *sample.flags[:-1], name, "--push", str(sample.context)] if build else ["push", name]
        )
        done = call(store, *words)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("in the store is damaged") == (4 if build else 3), done.stderr
        copied = tmp_path / "copied"
        tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{copied}:app")
        check_blobs(copied)
    shutil.rmtree(store)


def test_a_layer_that_was_changed_does_not_go_to_a_cache(sample: Sample, tmp_path: Path) -> None:
    store = sample.copy("cached")
    change(layers(store)[1])
    cache = tmp_path / "cache"
    done = sample.build(store, "-o", "type=cacheonly", "--cache-to", f"type=local,dest={cache},mode=max")
    assert done.returncode == 0, done.stderr
    assert "in the store is damaged" in done.stderr
    blobs = [path for path in cache.rglob("*") if path.is_file() and len(path.name) == 64]
    assert len(blobs) >= 4
    for blob in blobs:
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    shutil.rmtree(store)


def test_a_snapshot_that_was_changed_gives_no_layer(sample: Sample, tmp_path: Path) -> None:
    """Files that do not give the layer that they gave: the step is carried out again."""
    store = sample.copy("snapshot")
    layers(store)[2].unlink()
    [changed] = store.glob("snapshots/*/fs/sum")
    changed.write_bytes(changed.read_bytes().replace(b"1", b"2"))
    out = tmp_path / "out.tar"
    done = call(store, "save", "--format", "oci", "app", "-o", str(store.parent / "wrong.tar"))
    assert done.returncode == 1
    assert "do not give the layer that they gave" in done.stderr
    assert "error: the layer" in done.stderr
    done = sample.build(store, "-o", f"type=oci,dest={out}")
    assert done.returncode == 0, done.stderr
    check_archive(out, tmp_path / "checked")
    assert sample.build(store).returncode == 0
    assert sample.result(store) == sample.files
    shutil.rmtree(store)


def test_a_build_notices_by_itself_that_a_snapshot_was_changed(sample: Sample) -> None:
    store = sample.copy("noticed")
    layers(store)[2].unlink()
    [changed] = store.glob("snapshots/*/fs/sum")
    changed.write_bytes(changed.read_bytes().replace(b"1", b"2"))
    done = sample.build(store)
    assert done.returncode == 0, done.stderr
    assert "do not give the layer that they gave" in done.stderr
    assert sample.result(store) == sample.files
    shutil.rmtree(store)


def change_sum(store: Path) -> None:
    """Change the files of a step whose layer has to be made once more."""
    layers(store)[2].unlink()
    [changed] = store.glob("snapshots/*/fs/sum")
    changed.write_bytes(changed.read_bytes().replace(b"1", b"2"))


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_snapshot_that_was_changed_does_not_go_to_a_cache(
    sample: Sample, tmp_path: Path, mode: str
) -> None:
    """In the background (max) or at the end: the build begins again, the step is carried out, and its layer goes."""
    store, cache = sample.copy(f"cache-{mode}"), tmp_path / "cache"
    change_sum(store)
    line = ["-o", "type=cacheonly", "--cache-to", f"type=local,dest={cache},mode={mode}"]
    done = sample.build(store, *line)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("do not give the layer that they gave") == 1
    assert "cache export failed" not in done.stderr
    other = sample.folder / f"other-{mode}"
    taken = sample.build(other, "--cache-from", f"type=local,src={cache}")
    assert taken.returncode == 0, taken.stderr
    assert taken.stderr.count("CACHED from local") == 3
    assert sample.result(other) == sample.files
    for one in (store, other):
        shutil.rmtree(one)


def test_a_snapshot_that_was_changed_is_not_pushed(sample: Sample, tmp_path: Path) -> None:
    store = sample.copy("push-changed")
    change_sum(store)
    with run_registry(tmp_path / "registry") as registry:
        name = f"{registry.host}/app:1"
        assert call(store, "tag", "app", name).returncode == 0
        done = call(store, "push", name)
        assert done.returncode == 1
        assert "do not give the layer that they gave" in done.stderr
        assert "error: the layer" in done.stderr
        assert "build the image again" in done.stderr
        assert not any(line.startswith("PUT") and "/manifests/" in line for line in registry.requests())
        done = call(store, "build", *sample.flags[:-1], name, "--push", str(sample.context))
        assert done.returncode == 0, done.stderr
        copied = tmp_path / "copied"
        tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{copied}:app")
        check_blobs(copied)
    assert sample.result(store) == sample.files
    shutil.rmtree(store)


# --- documents of images, and bases


def manifest_path(store: Path) -> Path:
    index = json.loads((store / "index.json").read_text())
    return store / "blobs/sha256" / index["manifests"][0]["digest"].removeprefix("sha256:")


def test_an_image_without_its_manifest_stands_in_nobodys_way(sample: Sample) -> None:
    """Names are given and taken as ever; the image is told to be incomplete, and a build makes it whole."""
    store = sample.copy("no-manifest")
    other = call(store, "build", *sample.flags[:-1], "other", "--label", "a=b", str(sample.context))
    assert other.returncode == 0, other.stderr
    manifest_path(store).unlink()
    for words in (["tag", "other", "third"], ["rmi", "third"], ["tag", "app", "fourth"], ["rmi", "fourth"]):
        done = call(store, *words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        assert "Traceback" not in done.stderr
    names = {entry["annotations"]["io.containerd.image.name"] for entry in index_of(store)}
    assert names == {"docker.io/library/other:latest"}, "what is not there is in no layout"
    assert sample.build(store).returncode == 0
    assert sample.result(store) == sample.files
    assert len(index_of(store)) == 2
    shutil.rmtree(store)


def index_of(store: Path) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = json.loads((store / "index.json").read_text())["manifests"]
    return found


def test_a_damaged_manifest_is_written_anew(sample: Sample) -> None:
    store = sample.copy("bad-manifest")
    path = manifest_path(store)
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + b"!")
    check_clear(call(store, "inspect", "app"), "inspect")
    done = sample.build(store)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == sound
    assert sample.result(store) == sample.files
    shutil.rmtree(store)


@pytest.mark.parametrize("what", ["files", "row"])
def test_a_base_whose_files_are_lost_is_fetched_again(sample: Sample, what: str) -> None:
    store = sample.copy(f"lost-base-{what}")
    with sqlite3.connect(store / "pybuild.db") as database:
        [(lowest,)] = database.execute(
            "SELECT s.snapshot FROM states s JOIN layers l ON l.state = s.id WHERE l.pulled"
        )
        if what == "row":
            database.execute("DELETE FROM states WHERE snapshot = ?", (lowest,))
    database.close()
    if what == "files":
        shutil.rmtree(store / "snapshots" / lowest)
    done = sample.build(store)
    assert done.returncode == 0, done.stderr
    assert sample.result(store) == sample.files
    shutil.rmtree(store)
