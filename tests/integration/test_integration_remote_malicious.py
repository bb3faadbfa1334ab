"""Registries that mean harm to builds that read a cache from them: a warning, a right image, and no more memory or time than that."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from remote_machines import NewMachine, blob, is_right

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Malicious(ThreadingHTTPServer):
    """A registry that serves the cache of a folder, but for what `harm` answers itself (True); `seen` are its requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.harm: Callable[[Handler], bool] = lambda handler: False
        self.seen: list[str] = []
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *details: object) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Malicious

    def log_message(self, *details: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        with suppress(OSError):
            if not self.server.harm(self):
                self._serve()

    def _serve(self) -> None:
        index = json.loads((self.server.cache / "index.json").read_text())
        digest = (
            index["manifests"][0]["digest"] if "/manifests/" in self.path else self.path.rpartition("/")[2]
        )
        self.answer(blob(self.server.cache, digest).read_bytes(), MANIFEST)

    def answer(self, data: bytes, kind: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def without_end(self, status: int = 200, piece: bytes = b" " * 65536, pause: float = 0.0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", MANIFEST)
        self.end_headers()
        while not self.server.over.wait(pause):
            self.wfile.write(piece)


def of(part: str, harm: Callable[[Handler], object]) -> Callable[[Handler], bool]:
    """Harm to requests of one kind."""

    def answered(handler: Handler) -> bool:
        if part not in handler.path:
            return False
        harm(handler)
        return True

    return answered


def late(harm: Callable[[Handler], object]) -> Callable[[Handler], bool]:
    """Harm to the layers: the first blob is the document."""

    def answered(handler: Handler) -> bool:
        blobs = [path for path in handler.server.seen if "/blobs/" in path]
        if len(blobs) < 2 or handler.path == blobs[0]:
            return False
        harm(handler)
        return True

    return answered


def own_index(handler: Handler) -> None:
    """An index that names another for ever: each has the digest of the next only if somebody believes what is said."""
    name = hashlib.sha256(handler.path.encode()).hexdigest()
    entry = {
        "mediaType": INDEX,
        "digest": f"sha256:{name}",
        "size": 100,
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    handler.answer(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode(), INDEX)


def manifest_with(handler: Handler, **config: Any) -> None:
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": config}
    handler.answer(json.dumps(document).encode(), MANIFEST)


def challenge(realm: str) -> Callable[[Handler], object]:
    return lambda handler: handler.answer(
        b"",
        MANIFEST,
        401,
        WWW_Authenticate=f'Bearer realm="{realm.format(host=handler.server.host)}",service="x"',
    )


endless_token = of("/token", lambda one: one.without_end())
challenged = of("/v2/", challenge("http://{host}/token"))
NOTHING = f"sha256:{'0' * 64}"
RECORDS = "application/vnd.pybuild.cache.records.v1+json"
HARMS: dict[str, Callable[[Handler], bool]] = {
    "a redirect to itself": of("/v2/", lambda one: one.answer(b"", MANIFEST, 302, Location=one.path)),
    "a redirect to a file": of(
        "/v2/", lambda one: one.answer(b"", MANIFEST, 302, Location="file:///etc/passwd")
    ),
    "a manifest without end": of("/manifests/", lambda one: one.without_end()),
    "an error without end": of("/manifests/", lambda one: one.without_end(404)),
    "a manifest that drips": of("/manifests/", lambda one: one.without_end(piece=b" ", pause=0.1)),
    "indexes that lead to indexes": of("/manifests/", own_index),
    "records of any size": of(
        "/manifests/", lambda one: manifest_with(one, mediaType=RECORDS, digest=NOTHING, size=1 << 60)
    ),
    "records of a size below zero": of(
        "/manifests/", lambda one: manifest_with(one, mediaType=RECORDS, digest=NOTHING, size=-1)
    ),
    "records by another algorithm": of(
        "/manifests/", lambda one: manifest_with(one, mediaType=RECORDS, digest="md5:../../x", size=2)
    ),
    "records without end": of("/blobs/", lambda one: one.without_end()),
    "another media type": of(
        "/manifests/", lambda one: manifest_with(one, mediaType="text/html", digest=NOTHING, size=2)
    ),
    "a manifest that is HTML": of("/manifests/", lambda one: one.answer(b"<html>", "text/html")),
    "a manifest of another digest": of(
        "/manifests/", lambda one: one.answer(b"{}", MANIFEST, Docker_Content_Digest=NOTHING)
    ),
    "a challenge without end": of("/v2/", challenge("http://{host}/v2/token")),
    "a token from a file": of("/v2/", challenge("file:///etc/passwd")),
    "a token server without end": lambda one: endless_token(one) or challenged(one),
    "layers without end": late(lambda one: one.without_end(piece=b"\0" * 65536)),
    "layers that drip": late(lambda one: one.without_end(piece=b"x", pause=0.1)),
    "layers that lead round": late(lambda one: one.answer(b"", MANIFEST, 307, Location=one.path)),
    "layers of nothing": late(lambda one: one.answer(b"", MANIFEST)),
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"cache": tmp_path_factory.mktemp("malicious") / "cache"}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
def test_harm_costs_a_warning(
    machine: NewMachine, filled: dict[str, Path], harm: Callable[[Handler], bool]
) -> None:
    if not filled["cache"].exists():
        machine().build("--cache-to", f"type=local,dest={filled['cache']},mode=max", "-o", "type=cacheonly")
    server = Malicious(filled["cache"])
    server.harm = harm
    second = machine()
    try:
        # That the build ends is half of what is shown: the server does not.
        built = second.build("--cache-from", f"type=registry,ref={server.host}/a/b:c,timeout=20,wait=2")
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
    is_right(second, built)
    assert "cache import failed: registry" in built.text
    assert "passwd" not in built.text.replace("file:///etc/passwd", "")
    assert len(server.seen) < 60
    assert second.build().report["image"] == built.report["image"]
