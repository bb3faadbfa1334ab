"""Caches that are written when the command has ended: where no CI would end the process that does it; see docs/cache.md."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import DEADLINE, PYBUILD, ROOT
from flaky_server import FlakyServer
from registry_server import Registry
from remote_machines import Machine, NewMachine, is_right

from builder.store.sendings import Sending
from builder.store.store import open_store

NEVER = 3600


@pytest.fixture(autouse=True)
def _no_ci(machine: NewMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


class Gate:
    """Lets no request pass, or only those that are not meant, until it is opened."""

    def __init__(
        self, server: FlakyServer, meant: Callable[[str, str], bool] = lambda method, path: True
    ) -> None:
        self._opened = threading.Event()
        server.behave = lambda method, path: self._pass() if meant(method, path) else ""

    def _pass(self) -> str:
        self._opened.wait(DEADLINE)
        return ""

    def open(self) -> None:
        self._opened.set()


def sendings(machine: Machine) -> list[Sending]:
    with open_store(str(machine.store), reading=True) as store:
        rows = store.database.all("SELECT DISTINCT build FROM sendings ORDER BY build")
        return [sending for (build,) in rows for sending in store.sendings.of_build(build)]


def settled(machine: Machine, count: int = 1) -> list[Sending]:
    """What was sent, when all of it has ended."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        found = sendings(machine)
        if len(found) == count and all(sending.ended for sending in found):
            return found
        time.sleep(0.05)
    raise AssertionError(sendings(machine))


def asked(server: FlakyServer, method: str = "") -> None:
    """Wait until a process that writes a cache has got to its first request, whatever the machine does beside it."""
    until = time.monotonic() + DEADLINE
    while not any(line.startswith(method) for line in server.seen) and time.monotonic() < until:
        time.sleep(0.02)


def senders(machine: Machine) -> list[int]:
    """The processes that write caches of a store."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"builder.engine.cache_sender" in words and str(machine.store) in files_of(pid):
                found.append(pid)
        except OSError:
            continue
    return found


def files_of(pid: int) -> set[str]:
    """What a process has open."""
    opened = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # it was closed meanwhile
            opened.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return opened


def sender(machine: Machine) -> int:
    """The process that writes the one cache of a store, as soon as it has opened that."""
    until = time.monotonic() + DEADLINE
    while not (found := senders(machine)) and time.monotonic() < until:
        time.sleep(0.02)
    (pid,) = found
    return pid


def test_the_command_ends_with_its_outputs(
    machine: NewMachine, registry: Registry, flaky: FlakyServer
) -> None:
    first, second = machine(), machine()
    gate = Gate(flaky)
    built = first.build(
        "--cache-to", f"type=registry,ref={flaky.host}/later/c:c,mode=max,timeout={NEVER}", "-t", "app"
    )
    # It has ended, and nobody has answered anything.
    is_right(first, built)
    assert f"exporting cache to registry {flaky.host}/later/c:c in the background" in built.text
    assert "cache export failed" not in built.text
    gate.open()
    (sent,) = settled(first)
    assert (sent.build, sent.failure) == (1, "")
    source = f"type=registry,ref={registry.host}/later/c:c"
    two = second.build("--cache-from", source)
    assert set(two.outcomes()) == {"hit"}
    # What the sources were went along, so that a change is named.
    third = machine()
    third.write("src/b", "other\n")
    assert third.build("--cache-from", source).reasons("COPY src") == ["src/b (content 2 → 6 bytes)"]


def test_a_cached_build_asks_a_cache_for_nothing_and_waits_for_nothing(
    machine: NewMachine, registry: Registry, flaky: FlakyServer
) -> None:
    one = machine()
    name = "cached/c:c"
    cache = f"type=registry,ref={flaky.host}/{name},timeout={NEVER}"
    one.build("--cache-to", cache)
    settled(one)
    flaky.seen.clear()
    gate = Gate(flaky)
    built = one.build("--cache-from", cache, "--cache-to", cache)
    assert set(built.outcomes()) == {"hit"}
    gate.open()
    settled(one, 2)
    # All that the process behind it asks is what is there.
    assert flaky.seen == ["GET /v2/cached/c/manifests/c"]


def test_a_cached_build_speaks_no_http(machine: NewMachine, registry: Registry, bases: Path) -> None:
    """What it costs to have both flags where the store has everything: no module that speaks with a registry or a bucket."""
    one = machine()
    cache = f"type=registry,ref={registry.host}/modules/c:c"
    bucket = "type=s3,bucket=cache,region=us-east-1,endpoint_url=http://127.0.0.1:9,access_key_id=a,secret_access_key=b"
    words = [
        "build",
        "--store",
        str(one.store),
        "--build-context",
        f"base=oci-layout://{bases / 'base'}",
        "--progress",
        "plain",
    ]
    subprocess.run(
        [*PYBUILD, *words, "--cache-to", cache, str(one.project)], check=True, cwd=ROOT, capture_output=True
    )
    settled(one)
    words += ["--cache-from", cache, "--cache-from", bucket, "--cache-to", cache, str(one.project)]
    program = f"import sys\nfrom builder.cli.main import main\nstatus = main({words!r})\nprint(*sorted(sys.modules))\nsys.exit(status)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert "0 misses" in done.stderr, done.stderr
    modules = {name.partition(".")[0] for name in done.stdout.split()}
    assert not modules & {"urllib3", "http", "ssl", "boto3", "botocore", "cryptography"}
    settled(one, 2)


def test_what_fails_is_told_by_the_report_and_the_next_build(machine: NewMachine, flaky: FlakyServer) -> None:
    one = machine()
    flaky.behave = lambda method, path: "500" if method == "POST" else ""
    cache = f"type=registry,ref={flaky.host}/failing/c:c"
    first = one.build("--cache-to", cache)
    assert first.status == 0
    (sent,) = settled(one)
    assert "status 500" in sent.failure
    assert f"cache export failed: registry {flaky.host}/failing/c:c: {sent.failure}" in one.command(
        "report", "1"
    )
    flaky.behave = lambda method, path: ""
    # Who sees nothing is not told, and so the next build tells it.
    quiet = one.quiet("--cache-to", cache)
    assert "cache export failed" not in quiet.stdout + quiet.stderr
    settled(one, 2)
    again = one.build("--cache-to", cache)
    told = f"an earlier cache export failed (of build 1): registry {flaky.host}/failing/c:c"
    assert told in again.text
    settled(one, 3)
    assert told not in one.build("--cache-to", cache).text
    settled(one, 4)


def test_the_newest_build_is_what_is_there_in_the_end(
    machine: NewMachine, registry: Registry, flaky: FlakyServer
) -> None:
    """One writes at a time, and one that would be replaced at once is left out."""
    one, other = machine(), machine()
    gate = Gate(flaky)
    cache = f"type=registry,ref={flaky.host}/order/c:c,mode=max,timeout={NEVER}"
    for text in ("one\n", "two\n", "three\n"):
        one.write("src/a", text)
        one.build("--cache-to", cache)
        asked(flaky)  # the first is at it
    gate.open()
    assert [sent.failure for sent in settled(one, 3)] == ["", "", ""]
    puts = [line for line in flaky.done if line.startswith("PUT /v2/order/c/manifests/")]
    assert len(puts) == 2
    other.write("src/a", "three\n")
    source = f"type=registry,ref={registry.host}/order/c:c"
    assert set(other.build("--cache-from", source).outcomes()) == {"hit"}


@pytest.mark.parametrize("how", ["waits", "goes on"])
def test_a_later_export_is_not_overwritten_by_one_that_is_still_being_sent(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, how: str
) -> None:
    """Whether the later one is waited for or not, the records of the earlier are not put in their place."""
    one, other = machine(), machine()
    closing = [True]
    gate = Gate(flaky, lambda method, path: bool(closing) and method == "POST")
    name = f"overwritten/{how[0]}"
    cache = f"type=registry,ref={flaky.host}/{name}:c,mode=max,timeout={NEVER}"
    one.build("--cache-to", cache)
    until = time.monotonic() + 60
    while not any(line.startswith("POST") for line in flaky.seen) and time.monotonic() < until:
        time.sleep(0.02)
    closing.clear()  # only what the first has asked until now is held up
    one.write("src/a", "later\n")
    later = one.build("--cache-to", f"{cache},wait=600" if how == "waits" else cache)
    assert "cache export failed" not in later.text
    gate.open()
    assert [sent.failure for sent in settled(one, 1 if how == "waits" else 2)] == [""] * (
        1 if how == "waits" else 2
    )
    other.write("src/a", "later\n")
    source = f"type=registry,ref={registry.host}/{name}:c"
    assert set(other.build("--cache-from", source).outcomes()) == {"hit"}
    if how == "waits":
        puts = [line for line in flaky.done if line.startswith(f"PUT /v2/{name}/manifests/")]
        assert len(puts) == 1


def test_what_goes_on_keeps_nothing_of_its_caller(
    machine: NewMachine, registry: Registry, flaky: FlakyServer, tmp_path: Path
) -> None:
    """It works in no folder of theirs, has their streams and files no more, and finds what they named by relative paths."""
    first, second, third = machine(), machine(), machine()
    first.build("--cache-to", f"type=local,dest={tmp_path}/cache,mode=max")
    (tmp_path / "config").mkdir()
    gate = Gate(flaky)
    cache = f"type=registry,ref={flaky.host}/folder/c:c,mode=max,timeout={NEVER}"
    args = ("--cache-from", "type=local,src=cache", "--cache-to", cache, "-o", "type=cacheonly")
    second.build(*args, cwd=tmp_path)
    pid = sender(second)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    opened = files_of(pid)
    assert not [
        name for name in opened if name.startswith(str(tmp_path)) and not name.startswith(str(second.store))
    ]
    assert not [name for name in opened if name.startswith(("pipe:", "/dev/pts", "/dev/tty"))]
    assert os.getsid(pid) == pid
    gate.open()
    (sent,) = settled(second)
    # The layers that it sent it took from the folder that was named by a relative path.
    assert not sent.failure
    source = f"type=registry,ref={registry.host}/folder/c:c"
    assert set(third.build("--cache-from", source).outcomes()) == {"hit"}


def test_a_process_that_is_killed_leaves_what_the_next_build_sends(
    machine: NewMachine, registry: Registry, flaky: FlakyServer
) -> None:
    one, other = machine(), machine()
    gate = Gate(flaky, lambda method, path: method == "PUT")
    cache = f"type=registry,ref={flaky.host}/killed/c:c,mode=max,timeout={NEVER}"
    one.build("--cache-to", cache)
    os.kill(sender(one), signal.SIGKILL)
    until = time.monotonic() + DEADLINE
    while senders(one) and time.monotonic() < until:
        time.sleep(0.02)
    gate.open()
    one.build("--cache-to", cache)
    until = time.monotonic() + DEADLINE
    while not sendings(one)[-1].ended and time.monotonic() < until:
        time.sleep(0.05)
    killed, sent = sendings(one)
    assert not killed.ended and sent.ended and not sent.failure
    assert set(other.build("--cache-from", f"type=registry,ref={registry.host}/killed/c:c").outcomes()) == {
        "hit"
    }
    one.command("prune", "--filter", "id=none")
    assert os.listdir(one.store / "runs") == []


def test_prune_leaves_what_is_being_sent(machine: NewMachine, registry: Registry, flaky: FlakyServer) -> None:
    one, other = machine(), machine()
    gate = Gate(flaky, lambda method, path: method == "POST")
    cache = f"type=registry,ref={flaky.host}/pruned/c:c,mode=max,timeout={NEVER}"
    one.build("--cache-to", cache, "-o", "type=cacheonly")
    asked(flaky, "POST")
    before = one.layers()
    one.command("prune", "--all", "--force")
    assert one.layers() == before > 0
    gate.open()
    (sent,) = settled(one)
    assert not sent.failure
    assert set(other.build("--cache-from", f"type=registry,ref={registry.host}/pruned/c:c").outcomes()) == {
        "hit"
    }
    one.command("prune", "--all", "--force")
    assert one.layers() == 0


def test_prune_leaves_what_waits_to_be_sent(
    machine: NewMachine, registry: Registry, flaky: FlakyServer
) -> None:
    one, other = machine(), machine()
    gate = Gate(flaky)
    cache = f"type=registry,ref={flaky.host}/waits/c:c,mode=max,timeout={NEVER}"
    one.build("--cache-to", cache, "-o", "type=cacheonly")
    asked(flaky)
    one.write("src/a", "other\n")
    one.build("--cache-to", cache, "-o", "type=cacheonly")
    until = time.monotonic() + DEADLINE
    while len(list(filter(holds_states, senders(one)))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    before = one.layers()
    one.command("prune", "--all", "--force")
    assert one.layers() == before > 0
    gate.open()
    assert [sent.failure for sent in settled(one, 2)] == ["", ""]
    other.write("src/a", "other\n")
    assert set(other.build("--cache-from", f"type=registry,ref={registry.host}/waits/c:c").outcomes()) == {
        "hit"
    }


def holds_states(pid: int) -> bool:
    """Whether a process has snapshots open; one that has ended has none, and files may be closed while they are looked at."""
    found = []
    with suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.append(os.readlink(file))
    return any("/snapshots/" in name for name in found)


def test_what_came_from_one_cache_goes_on_to_another(
    machine: NewMachine, registry: Registry, tmp_path: Path
) -> None:
    """Layers that are not here are fetched by the process that sends them."""
    first, second, third = machine(), machine(), machine()
    first.build("--cache-to", f"type=local,dest={tmp_path}/cache,mode=max")
    cache = f"type=registry,ref={registry.host}/on/c:c,mode=max"
    second.build(
        "--cache-from", f"type=local,src={tmp_path}/cache", "--cache-to", cache, "-o", "type=cacheonly"
    )
    (sent,) = settled(second)
    assert not sent.failure
    assert set(third.build("--cache-from", cache.removesuffix(",mode=max")).outcomes()) == {"hit"}


@pytest.mark.parametrize("more", [",wait=100", ",ignore-error=false", ",mounts=true"])
def test_who_wants_to_wait_waits(machine: NewMachine, registry: Registry, more: str) -> None:
    one, other = machine(), machine()
    name = "".join(filter(str.isalpha, more))
    one.build("--cache-to", f"type=registry,ref={registry.host}/{name}/c:c,mode=max{more}")
    built = other.build("--cache-from", f"type=registry,ref={registry.host}/{name}/c:c")
    assert set(built.outcomes()) == {"hit"}


def test_a_folder_is_whole_when_the_command_ends(machine: NewMachine, tmp_path: Path) -> None:
    one, other = machine(), machine()
    one.build("--cache-to", f"type=local,dest={tmp_path}/cache,mode=max")
    assert set(other.build("--cache-from", f"type=local,src={tmp_path}/cache").outcomes()) == {"hit"}


def test_no_credentials_are_in_the_words_of_the_process(machine: NewMachine, flaky: FlakyServer) -> None:
    one = machine()
    gate = Gate(flaky)
    cache = f"type=s3,bucket=cache,region=us-east-1,endpoint_url=http://{flaky.host},use_path_style=true"
    one.build("--cache-to", f"{cache},access_key_id=someone,secret_access_key=quite-secret")
    pid = sender(one)
    assert b"quite-secret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert "quite-secret" not in one.command("report", "1")
    assert subprocess.run(["grep", "-rl", "quite-secret", one.store], capture_output=True).stdout == b""
    os.kill(pid, signal.SIGKILL)
    gate.open()
