"""Remote caches that are slow: a build is not slower for them than without, but for seconds that are told; see docs/cache.md.

The servers here never come to an end by themselves: that a build does shows that it does not wait for them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import DEADLINE
from flaky_server import FlakyServer
from registry_server import Registry
from remote_machines import Machine, NewMachine, is_right, rewrite_records
from s3_server import run_s3

NEVER = 3600
# Never the limit where the other one is tried.


def only_layers(how: str, flaky: FlakyServer) -> None:
    """The first blob that is fetched is the document of records; the others come as `how` says."""
    first: list[str] = []

    def behave(method: str, path: str) -> str:
        if method != "GET" or "/blobs/" not in path:
            return ""
        first.append(path)
        return "" if path == first[0] else how

    flaky.behave = behave


# --- a cache that is read ---


@pytest.mark.parametrize(("how", "what"), [("stall", "/manifests/"), ("dribble", "/blobs/")])
def test_records_are_waited_for_no_longer_than_they_may_cost(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, how: str, what: str
) -> None:
    first, second = machine(), machine()
    name = f"records/{how}{what.strip('/')}:c"
    first.build("--cache-to", f"type=registry,ref={registry.host}/{name},mode=max")
    flaky.behave = lambda method, path: how if what in path else ""
    built = second.build("--cache-from", f"type=registry,ref={flaky.host}/{name},timeout={NEVER},wait=0.3")
    is_right(second, built)
    assert set(built.outcomes()) == {"miss"}
    assert f"cache import failed: registry {flaky.host}/{name}: it did not answer within 0.3 s" in built.text


def test_a_cache_is_not_waited_for_by_steps_that_the_store_has(
    machine: NewMachine, flaky: FlakyServer
) -> None:
    one = machine()
    one.build()
    flaky.behave = lambda method, path: "stall"
    source = f"type=registry,ref={flaky.host}/nobody/asks,timeout={NEVER},wait={NEVER}"
    built = one.build("--cache-from", source)
    assert set(built.outcomes()) == {"hit"}
    assert "cache import failed" not in built.text


@pytest.mark.parametrize("how", ["trickle", "dribble"])
def test_layers_are_waited_for_no_longer_than_their_steps_take(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, how: str
) -> None:
    first, second = machine(), machine()
    name = f"layers/{how}:c"
    first.build("--cache-to", f"type=registry,ref={registry.host}/{name},mode=max")
    only_layers(how, flaky)
    built = second.build("--cache-from", f"type=registry,ref={flaky.host}/{name},timeout={NEVER},wait=3")
    is_right(second, built)
    assert f"cache import failed: registry {flaky.host}/{name}: it is too slow" in built.text
    assert built.report["steps"][-2]["outcome"] == "miss"


def expensive(machine: NewMachine, registry: Registry, name: str, tmp_path: Path) -> None:
    """A cache in the registry whose steps took an hour each, as it says."""
    first = machine()
    cache = tmp_path / "expensive"
    first.build("--cache-to", f"type=local,dest={cache},mode=max")

    def took_an_hour(document: dict[str, list[dict[str, float]]]) -> None:
        for record in document["records"]:
            record["seconds"] = 3600

    rewrite_records(cache, took_an_hour)
    other = machine()
    # Records travel on as they came.
    target = f"type=registry,ref={registry.host}/{name},mode=max"
    other.build("--cache-from", f"type=local,src={cache}", "--cache-to", target, "-o", "type=cacheonly")


def test_layers_that_spare_much_are_waited_for(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, tmp_path: Path
) -> None:
    expensive(machine, registry, "worth/it:c", tmp_path)
    only_layers("slow", flaky)
    flaky.pause = 0.5
    second = machine()
    source = f"type=registry,ref={flaky.host}/worth/it:c,timeout={NEVER},wait=3"
    built = second.build("--cache-from", source)
    is_right(second, built)
    assert set(built.outcomes()) == {"hit"}
    assert "cache import failed" not in built.text
    # What comes late is shown while it comes.
    assert f"fetching layers from registry {flaky.host}/worth/it" in built.text
    assert "read layer " in built.text


def test_layers_that_spare_much_but_will_not_come_are_not_waited_for(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, tmp_path: Path
) -> None:
    expensive(machine, registry, "silent/ones:c", tmp_path)
    only_layers("trickle", flaky)
    second = machine()
    built = second.build(
        "--cache-from", f"type=registry,ref={flaky.host}/silent/ones:c,timeout=0.5,wait={NEVER}"
    )
    is_right(second, built)
    assert "it has sent nothing for 0.5 s" in built.text


def test_a_second_build_on_promises_waits_as_long_as_the_first(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, tmp_path: Path
) -> None:
    """The records are in the store by then, and still spare what they spared."""
    expensive(machine, registry, "twice/c:c", tmp_path)
    second = machine()
    source = f"type=registry,ref={flaky.host}/twice/c:c,timeout={NEVER}"
    second.build("--cache-from", source, "-o", "type=cacheonly")
    only_layers("slow", flaky)
    flaky.pause = 0.5
    built = second.build("--cache-from", f"{source},wait=3")
    is_right(second, built)
    assert set(built.outcomes()) == {"hit"}


# --- a cache that is written ---


def write_large(machine: Machine) -> None:
    """A small layer, then one that fills every buffer between two machines."""
    machine.write("Buildfile", "FROM base\nRUN echo small > /small\nCOPY large /large\n")
    (machine.project / "large").write_bytes(os.urandom(24 << 20))


def test_what_reached_a_slow_cache_counts(
    machine: NewMachine, registry: Registry, flaky: FlakyServer
) -> None:
    first, second, third, probe = machine(), machine(), machine(), machine()
    write_large(first)
    for other in (second, third, probe):
        for name in ("Buildfile", "large"):
            shutil.copy2(first.project / name, other.project / name)
    probe.build()
    large = max((probe.store / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size).name
    flaky.behave = lambda method, path: "sip" if method == "PUT" and large in path else ""
    name = f"sipping/c:{os.getpid()}"
    target = f"type=registry,ref={flaky.host}/{name},mode=max,timeout={NEVER}"
    built = first.build("--cache-to", f"{target},wait=5")
    assert built.status == 0
    assert "cache export failed" in built.text
    assert (
        "it is too slow: 1 of 2 layers are there, with their records; the next build sends more" in built.text
    )
    source = f"type=registry,ref={registry.host}/{name}"
    two = second.build("--cache-from", source)
    assert two.outcomes() == ["hit", "miss"]
    # The next export sends what is missing, and nothing again.
    flaky.behave = lambda method, path: ""
    first.build("--cache-to", target)
    sent = [line for line in flaky.done if line.startswith("PUT ") and "/blobs/" in line]
    digests = [line.partition("digest=")[2] for line in sent]
    # The small one and the large one, what its sources were, and two times the records.
    assert len(set(digests)) == len(digests) >= 4
    assert third.build("--cache-from", source).outcomes() == ["hit", "hit"]
    strict = third.build(
        "--no-cache", "--cache-to", f"{target},ignore-error=false".replace(name, f"{name}-strict")
    )
    assert strict.status == 0


def test_an_export_that_is_too_slow_fails_a_build_that_wants_it(
    machine: NewMachine, flaky: FlakyServer
) -> None:
    one = machine()
    flaky.behave = lambda method, path: "sip" if method == "PUT" and "/blobs/" in path else ""
    write_large(one)
    target = f"type=registry,ref={flaky.host}/strict/c:c,mode=max,timeout={NEVER},wait=1,ignore-error=false"
    built = one.build("--cache-to", target, ok=False)
    assert built.status == 1
    assert "the cache cannot be exported to registry" in built.text


@pytest.mark.parametrize("mode", ["min", "max"])
def test_outputs_are_there_before_anything_waits_for_a_cache(
    machine: NewMachine, flaky: FlakyServer, tmp_path: Path, mode: str
) -> None:
    one = machine()
    flaky.behave = lambda method, path: "stall"
    out = tmp_path / "out.tar"
    target = f"type=registry,ref={flaky.host}/stalled/c,mode={mode},timeout={NEVER},wait={NEVER}"
    told = ("--iidfile", tmp_path / "iid", "--metadata-file", tmp_path / "metadata")
    process = one.start(
        "--cache-to", target, "-t", "app", "-o", f"type=oci,dest={out}", "-o", "type=image", *told
    )
    try:
        until = time.monotonic() + DEADLINE
        while "app" not in one.command("images") and time.monotonic() < until:
            time.sleep(0.05)
        assert process.poll() is None, "it still waits for the cache"
        assert "app" in one.command("images")
        assert out.exists()
        assert one.command("run", "app", "cat", "/done") == "done\n"
        # Whoever does not want to wait stops it, and that does not wait either.
        while (
            "whoever does not want to wait may interrupt" not in (line := process.stdout.readline()) and line
        ):  # type: ignore[union-attr]
            pass
        assert (tmp_path / "iid").read_text() in (tmp_path / "metadata").read_text()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "Traceback" not in output


def test_a_slow_target_does_not_hold_up_another(
    machine: NewMachine, flaky: FlakyServer, tmp_path: Path
) -> None:
    first, second = machine(), machine()
    flaky.behave = lambda method, path: "stall"
    cache = tmp_path / "cache"
    built = first.build(
        *("--cache-to", f"type=registry,ref={flaky.host}/stalled/c,mode=max,timeout={NEVER},wait=0.5"),
        *("--cache-to", f"type=local,dest={cache},mode=max"),
    )
    assert built.text.count("cache export failed: registry") == 1
    assert set(second.build("--cache-from", f"type=local,src={cache}").outcomes()) == {"hit"}


@pytest.mark.parametrize("what", ["/", "GET /blobs/"])
def test_what_a_silent_place_has_of_a_mount_is_waited_for_no_longer(
    machine: NewMachine, flaky: FlakyServer, what: str
) -> None:
    one = machine()
    one.write("Buildfile", "FROM base\nARG R\nRUN --mount=type=cache,target=/c echo $R > /c/$R\n")
    target = f"type=registry,ref={flaky.host}/stalled/c:c,timeout={NEVER},mounts=true"
    one.build("--build-arg", "R=1", "--cache-to", f"{target},wait={NEVER}")
    shutil.rmtree(one.store / "indexes")  # it would know the listing
    method, _, path = what.rpartition(" ")
    flaky.behave = lambda how, where: "stall" if path in where and how.startswith(method) else ""
    built = one.build("--build-arg", "R=2", "--cache-to", f"{target},wait=1")
    assert "cache export failed: registry" in built.text


def test_whoever_stops_waits_for_no_connection_that_is_not_made(machine: NewMachine) -> None:
    """Nobody takes connections here, and a few that wait for that fill what the kernel takes for them."""
    one = machine()
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        cache = f"type=registry,ref=127.0.0.1:{server.getsockname()[1]}/a/b,timeout={NEVER},wait={NEVER}"
        process = one.start("--cache-to", cache, "-o", "type=cacheonly")
        while "exporting cache to" not in (line := process.stdout.readline()) and line:  # type: ignore[union-attr]
            pass
        process.send_signal(signal.SIGINT)
        try:
            output, _ = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    assert process.returncode == 130, output


# --- buckets ---


@pytest.fixture
def slow_bucket() -> Iterator[tuple[FlakyServer, str]]:
    """A bucket behind a server that is slow where a test says so, and what names a cache in it."""
    with run_s3() as bucket:
        server = FlakyServer(bucket.url.removeprefix("http://"))
        keys = "access_key_id=someone,secret_access_key=quite-secret,region=us-east-1,use_path_style=true"
        yield server, f"type=s3,bucket=cache,endpoint_url=http://{server.host},{keys}"
        server.stop()


@pytest.mark.parametrize("how", ["stall", "sip"])
def test_whoever_stops_an_export_to_a_bucket_waits_for_nothing(
    machine: NewMachine, slow_bucket: tuple[FlakyServer, str], how: str
) -> None:
    """A bucket's library cannot be stopped; that the process ends shows that nobody waits for it."""
    server, cache = slow_bucket
    one = machine()
    write_large(one)
    server.behave = lambda method, path: how if method == "PUT" else ""
    process = one.start(
        "--cache-to", f"{cache},mode=max,timeout={NEVER},wait={NEVER}", "-o", "type=cacheonly"
    )
    try:
        until = time.monotonic() + DEADLINE
        while not any(line.startswith("PUT") for line in server.seen) and time.monotonic() < until:
            time.sleep(0.05)
        while "exporting cache to" not in (line := process.stdout.readline()) and line:  # type: ignore[union-attr]
            pass
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "Traceback" not in output


def test_a_bucket_that_is_too_slow_is_left_and_what_is_there_counts(
    machine: NewMachine, slow_bucket: tuple[FlakyServer, str]
) -> None:
    server, cache = slow_bucket
    first, second = machine(), machine()
    write_large(first)
    for name in ("Buildfile", "large"):
        shutil.copy2(first.project / name, second.project / name)

    def behave(method: str, path: str) -> str:
        # The small layer and the records pass; the parts of the large one do not.
        return "sip" if method in ("PUT", "POST") and ("partNumber=" in path or "uploads" in path) else ""

    server.behave = behave
    built = first.build("--cache-to", f"{cache},mode=max,timeout={NEVER},wait=5")
    assert "it is too slow: 1 of 2 layers are there" in built.text
    server.behave = lambda method, path: ""
    assert second.build("--cache-from", cache).outcomes() == ["hit", "miss"]


@pytest.mark.parametrize("what", ["/manifests/", "/blobs/"])
def test_a_bucket_that_is_read_is_waited_for_no_longer_than_it_may_cost(
    machine: NewMachine, slow_bucket: tuple[FlakyServer, str], what: str
) -> None:
    server, cache = slow_bucket
    first, second = machine(), machine()
    first.build("--cache-to", f"{cache},mode=max")
    server.behave = lambda method, path: "stall" if what in path else ""
    built = second.build("--cache-from", f"{cache},timeout={NEVER},wait=0.3")
    is_right(second, built)
    assert "it did not answer within 0.3 s" in built.text
