"""Remote caches that are slow, broken or hostile: a warning, and a right image all the same."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PYBUILD, ROOT
from flaky_server import FlakyServer
from registry_server import Registry
from remote_machines import NewMachine, blob, is_right, put, rewrite_records, write_project

Document = dict[str, Any]


# --- a server that fails ---


@pytest.mark.parametrize("how", ["half", "trickle", "500"])
def test_a_layer_that_does_not_come_is_made_after_all(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, how: str
) -> None:
    first, second = machine(), machine()
    first.build("--cache-to", f"type=registry,ref={registry.host}/midway/{how}:c,mode=max")
    records: list[str] = []

    def behave(method: str, path: str) -> str:
        if method != "GET" or "/blobs/" not in path:
            return ""
        records.append(path)
        return "" if path == records[0] else how  # the first blob is the document of records

    flaky.behave = behave
    waiting = ",timeout=3" if how == "trickle" else ""
    built = second.build("--cache-from", f"type=registry,ref={flaky.host}/midway/{how}:c{waiting}")
    is_right(second, built)
    assert len(set(records)) > 1
    assert "cache import failed: registry" in built.text
    # What was a hit is carried out: the second time around nothing is taken from that cache.
    assert built.report["steps"][-2]["outcome"] == "miss"


@pytest.mark.parametrize("how", ["stall", "reset", "500"])
def test_a_cache_that_does_not_answer_is_a_warning(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, how: str
) -> None:
    one = machine()
    flaky.behave = lambda method, path: how
    built = one.build("--cache-from", f"type=registry,ref={flaky.host}/silent/cache,timeout=0.5")
    is_right(one, built)
    assert built.text.count("cache import failed: registry") >= 1
    assert built.reasons("WORKDIR")[0].startswith("cache import failed: registry")


def test_a_cache_at_a_port_where_nobody_listens_is_a_warning(machine: NewMachine) -> None:
    one = machine()
    where = "type=registry,ref=127.0.0.1:9/cache,timeout=2"
    built = one.build("--cache-from", where, "--cache-to", f"{where},mode=max")
    is_right(one, built)
    assert "cache import failed: registry 127.0.0.1:9/cache: cannot connect" in built.text
    assert "cache export failed: registry 127.0.0.1:9/cache: cannot connect" in built.text


@pytest.mark.parametrize("how", ["stall", "reset", "500"])
def test_an_export_that_fails_is_a_warning_or_an_error_if_asked_for(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, how: str
) -> None:
    one = machine()
    flaky.behave = lambda method, path: how if method in ("PUT", "POST", "PATCH") else ""
    where = f"type=registry,ref={flaky.host}/sink/{how}:c,mode=max,timeout=0.5"
    built = one.build("--cache-to", where)
    is_right(one, built)
    assert "cache export failed: registry" in built.text
    strict = one.build("--cache-to", f"{where},ignore-error=false", ok=False)
    assert strict.status == 1
    assert "the cache cannot be exported to registry" in strict.text


def test_another_cache_that_has_the_layer_steps_in(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, tmp_path: Path
) -> None:
    first, second = machine(), machine()
    cache = tmp_path / "cache"
    first.build(
        *("--cache-to", f"type=registry,ref={registry.host}/two/c:c,mode=max"),
        *("--cache-to", f"type=local,dest={cache},mode=max"),
    )
    seen: list[str] = []

    def behave(method: str, path: str) -> str:
        seen.append(path) if method == "GET" and "/blobs/" in path else None
        return "reset" if len(set(seen)) > 1 else ""

    flaky.behave = behave
    sources = ("--cache-from", f"type=registry,ref={flaky.host}/two/c:c")
    built = second.build(*sources, "--cache-from", f"type=local,src={cache}")
    is_right(second, built)
    assert set(built.outcomes()) == {"hit"}


# --- a cache that lies ---


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, bases: Path) -> Path:
    """A cache of the project of `machine`, to copy."""
    folder = tmp_path_factory.mktemp("template")
    project = folder / "project"
    write_project(project)
    line = [
        *PYBUILD,
        "build",
        "--store",
        folder / "store",
        "--build-context",
        f"base=oci-layout://{bases / 'base'}",
    ]
    line += ["--cache-to", f"type=local,dest={folder / 'cache'},mode=max", project]
    subprocess.run([str(word) for word in line], check=True, capture_output=True, cwd=ROOT)
    return folder / "cache"


@pytest.fixture
def cache(template: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    shutil.copytree(template, folder)
    return folder


def records_of(change: Callable[[Document], object]) -> Callable[[Path], None]:
    return lambda cache: rewrite_records(cache, change)


def each_layer(**fields: object) -> Callable[[Path], None]:
    def change(document: Document) -> None:
        for record in document["records"]:
            if record["layer"]:
                record["layer"].update(fields)

    return records_of(change)


def layers(cache: Path) -> list[Path]:
    manifest = json.loads((cache / "index.json").read_text())["manifests"][0]["digest"]
    return [blob(cache, layer["digest"]) for layer in json.loads(blob(cache, manifest).read_text())["layers"]]


def flip_layers(cache: Path) -> None:
    for path in layers(cache):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x40
        path.write_bytes(data)


def cut_layers(cache: Path) -> None:
    for path in layers(cache):
        path.write_bytes(path.read_bytes()[:-5])


def lengthen_layers(cache: Path) -> None:
    for path in layers(cache):
        path.write_bytes(path.read_bytes() + bytes(1 << 16))


def lose_layers(cache: Path) -> None:
    for path in layers(cache):
        path.unlink()


def escaping_layers(cache: Path) -> None:
    """Layers whose digests are right, with names that lead out, and a device."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("../../../../../../tmp/h-escaped", "/../h-escaped", "x/../../h-escaped"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("way/h-escaped"))
    data = stream.getvalue()
    digest = put(cache, data)
    each_layer(
        digest=digest, diff_id=digest, size=len(data), mediaType="application/vnd.oci.image.layer.v1.tar"
    )(cache)


def other_index(cache: Path) -> None:
    (cache / "index.json").write_text('{"schemaVersion": 2, "manifests": {"0": 1}}')


def large_records(cache: Path) -> None:
    rewrite_records(cache, lambda document: b" " * ((16 << 20) + 1))


LIES: dict[str, Callable[[Path], None]] = {  # tests/unit/cache has those that show in the document alone
    "flipped layers": flip_layers,
    "cut layers": cut_layers,
    "longer layers": lengthen_layers,
    "no layers": lose_layers,
    "another diff_id": each_layer(diff_id=f"sha256:{'0' * 64}"),
    "a smaller size": each_layer(size=3),
    "another scope": records_of(lambda document: document.update(scope="main")),
    "no document": records_of(lambda document: b"\xff\x00 no JSON"),
    "large records": large_records,
    "an index that is none": other_index,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_lie_costs_a_warning_and_never_an_image(
    machine: NewMachine, cache: Path, lie: Callable[[Path], None], tmp_path: Path
) -> None:
    lie(cache)
    second = machine()
    built = second.build("--cache-from", f"type=local,src={cache}")
    is_right(second, built)
    assert "cache import failed: local" in built.text
    # Nothing of it has stayed that a build without that cache would take for something.
    again = second.build()
    assert again.report["image"] == built.report["image"]
    assert set(again.outcomes()) == {"hit"}


def test_a_folder_that_is_not_there_is_a_warning(machine: NewMachine, tmp_path: Path) -> None:
    one = machine()
    built = one.build("--cache-from", f"type=local,src={tmp_path / 'nosuch'}")
    is_right(one, built)
    assert "cache import failed: local" in built.text


def test_promises_of_a_cache_that_is_not_read_any_more_are_misses(
    machine: NewMachine, cache: Path, tmp_path: Path
) -> None:
    second = machine()
    built = second.build("--cache-from", f"type=local,src={cache}", "-o", "type=cacheonly")
    assert set(built.outcomes()) == {"hit"}
    assert second.layers() == 1
    without = second.build()
    assert set(without.outcomes()) == {"miss"}
    is_right(second, without)
    # And a promise whose layer vanished under an image that stands on it is told in a line.
    third = machine()
    third.build("--cache-from", f"type=local,src={cache}", "-o", "type=cacheonly")
    shutil.rmtree(cache)
    gone = third.build("--cache-from", f"type=local,src={cache}")
    is_right(third, gone)


def test_layers_that_lead_out_stay_inside(machine: NewMachine, cache: Path, tmp_path: Path) -> None:
    escaping_layers(cache)
    second = machine()
    second.build("--cache-from", f"type=local,src={cache}", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "way").is_symlink()  # it was unpacked
    assert not list(Path("/tmp").glob("h-escaped*"))
    for path in tmp_path.rglob("h-escaped"):
        inside = path.relative_to(tmp_path).parts
        assert inside[0] == "out" or (inside[3], inside[5]) == ("snapshots", "fs"), path
