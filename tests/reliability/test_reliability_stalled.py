"""Ctrl-C while the other side says nothing: the command ends at once, whatever it waits for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import DEADLINE, ROOT, Run

# Seconds: less than the minute after which a client gives a registry up by itself.
AT_ONCE = 50


@pytest.fixture
def store(in_memory: Path) -> Path:
    """The end of a build is no wait for the disk."""
    return in_memory / "store"


class Stalled(ThreadingHTTPServer):
    """A registry with the blobs and the manifest of an image, which stops in the middle of a large blob, either way."""

    daemon_threads = True

    def __init__(self, layout: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.layout, self.reached, self.go_on = layout, threading.Event(), threading.Event()
        self.host = f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stalled

    def _blob(self) -> Path:
        return self.server.layout / "blobs/sha256" / self.path.rpartition(":")[2]

    def do_GET(self) -> None:
        if self.path.endswith("/manifests/cache"):
            self._stall()
        elif "/manifests/" in self.path:
            entry = json.loads((self.server.layout / "index.json").read_text())["manifests"][0]
            digest = str(entry["digest"])
            self._answer(
                200,
                (self.server.layout / "blobs/sha256" / digest.partition(":")[2]).read_bytes(),
                entry["mediaType"],
            )
        elif "/blobs/" in self.path and self._blob().stat().st_size > 100_000:
            self.send_response(200)
            self.send_header("Content-Length", str(self._blob().stat().st_size))
            self.end_headers()
            self.wfile.write(self._blob().read_bytes()[:50_000])
            self._stall()
        elif "/blobs/" in self.path:
            self._answer(200, self._blob().read_bytes())
        else:
            self._answer(200, b"{}")

    def do_HEAD(self) -> None:
        self._answer(404, b"")

    def do_POST(self) -> None:
        self._answer(202, b"", location=f"/v2/app/blobs/uploads/{self.path.count('/')}")

    def do_PUT(self) -> None:
        self.rfile.read(1)
        self._stall()

    def _answer(self, status: int, data: bytes, kind: str = "application/json", location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _stall(self) -> None:
        self.server.reached.set()
        self.server.go_on.wait()
        self.close_connection = True

    def log_message(self, *details: object) -> None:
        pass


@contextmanager
def stalled(layout: Path) -> Iterator[Stalled]:
    server = Stalled(layout)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("way", ["pull", "push", "build from", "build and push", "cache from", "cache to"])
def test_ctrl_c_while_the_other_side_says_nothing(
    pybuild: Run, bases: Path, store: Path, context: Path, in_memory: Path, tmp_path: Path, way: str
) -> None:
    (context / "Buildfile").write_text("FROM base\nCOPY f /f\n")
    (context / "f").write_bytes(os.urandom(1 << 20))
    pybuild("build", "-o", "type=oci,tar=false,dest=" + str(tmp_path / "layout"), context)
    with stalled(tmp_path / "layout") as server:
        name, other = f"{server.host}/app:1", str(in_memory / "other")
        if way == "push":
            pybuild("build", "-t", name, context)
        if way == "build from":
            (context / "Buildfile").write_text(f"FROM {name}\nRUN true\n")
        named = ["--build-context", f"base=oci-layout://{bases}/base"]
        cache = f"type=registry,ref={server.host}/app:cache,timeout=3600"
        words = {
            "pull": ["pull", "--store", other, name],
            "push": ["push", name],
            "build from": ["build", "--store", other, str(context)],
            "build and push": ["build", *named, "-t", name, "--push", str(context)],
            "cache from": ["build", *named, "--cache-from", cache, "--store", other, str(context)],
            "cache to": [
                "build",
                *named,
                "--cache-to",
                f"{cache},mode=max,wait=60",
                "--no-cache",
                str(context),
            ],
        }[way]
        env = {**os.environ, "PYBUILD_STORE": str(store), "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(
            [sys.executable, "-m", "builder", *words],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.reached.wait(DEADLINE), child.poll()
            child.send_signal(signal.SIGINT)
            _, said = child.communicate(timeout=AT_ONCE)
        finally:
            child.kill()
        assert child.returncode == 130, said
        assert "Traceback" not in said
        assert said.endswith("interrupted: what was finished is kept\n")
        for place in (store, in_memory / "other"):
            assert not (place / "runs").is_dir() or list((place / "runs").iterdir()) == []


@pytest.mark.parametrize("kind", ["tar", "oci"])
def test_ctrl_c_while_an_output_is_written(
    pybuild: Run, context: Path, store: Path, tmp_path: Path, kind: str
) -> None:
    """To a pipe that is read slowly: what is written is not brought to its end."""
    (context / "Buildfile").write_text("FROM scratch\nCOPY f /f\n")
    (context / "f").write_bytes(os.urandom(32 << 20))
    pybuild("build", context)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    env = {**os.environ, "PYBUILD_STORE": str(store), "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "builder", "build", "-o", f"type={kind},dest={pipe}", str(context)]
    child = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with pipe.open("rb") as stream:
        size = len(stream.read(1 << 20))
        child.send_signal(signal.SIGINT)
        # All of it would take five seconds: time enough to notice the signal, also on a busy machine.
        while chunk := stream.read(128 << 10):
            size += len(chunk)
            time.sleep(0.02)
    _, said = child.communicate(timeout=DEADLINE)
    assert child.returncode == 130, said
    assert said.endswith("interrupted: what was finished is kept\n")
    assert size < 24 << 20
