"""Debian's docker-registry on a free port of this machine, with and without a password; and a token server."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from conftest import DEADLINE, folder_in_memory

USER, PASSWORD = "someone", "some thing: secret"


@dataclass(frozen=True)
class Registry:
    """A running registry: `host:port`, and the file of its access log."""

    host: str
    log: Path

    def requests(self) -> list[str]:
        """`METHOD path status` of every request so far.

        Whoever asked may have the last bytes of a large answer before the registry writes its line: what has begun is waited for.
        """
        until = time.monotonic() + DEADLINE
        while True:
            text = self.log.read_text(errors="replace")
            begun = Counter(re.findall(r'msg="authorizing request".* http\.request\.method=(\w+) ', text))
            ended = Counter(re.findall(r'^[^"]*"(\w+) [^"]* HTTP/1\.1" \d', text, re.MULTILINE))
            if begun <= ended or time.monotonic() > until:
                break
            time.sleep(0.01)
        found = []
        for line in text.splitlines():
            if '"' in line and " HTTP/1.1" in line:
                request, _, rest = line.split('"', 1)[1].partition('" ')
                found.append(f"{request.removesuffix(' HTTP/1.1')} {rest.split()[0]}")
        return found


@contextmanager
def run_registry(folder: Path, *, password: bool = False) -> Iterator[Registry]:
    """It brings each file to the disk before it answers, so that its data are where that takes no time."""
    folder.mkdir(parents=True)
    (folder / "disk").mkdir()
    with folder_in_memory(folder / "disk") as data:
        (folder / "data").symlink_to(data)
        yield from _run_registry(folder, password)


def _run_registry(folder: Path, password: bool) -> Iterator[Registry]:
    lines = ["version: 0.1", "log:", "  level: debug"]
    lines += ["storage:", "  filesystem:", f"    rootdirectory: {folder / 'data'}"]
    lines += ["  delete:", "    enabled: true", "http:", "  addr: 127.0.0.1:0"]
    if password:
        htpasswd = subprocess.run(
            ["htpasswd", "-Bbn", USER, PASSWORD], check=True, capture_output=True
        ).stdout
        (folder / "htpasswd").write_bytes(htpasswd)
        lines += ["auth:", "  htpasswd:", "    realm: test", f"    path: {folder / 'htpasswd'}"]
    (folder / "config.yml").write_text("\n".join(lines) + "\n")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        while not (found := re.search(r"listening on (127\.0\.0\.1:\d+)", (folder / "log").read_text())):
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield Registry(found[1], folder / "log")
    finally:
        server.terminate()
        server.wait()


class TokenRegistry(ThreadingHTTPServer):
    """A registry that wants tokens (distribution spec, token authentication), in front of a real one.

    It passes requests with a good token on, answers others with a challenge, and gives tokens at /token for the right
    password. `seen` has the paths of token requests.
    """

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.seen: list[str] = []
        self.tokens: set[str] = set()
        super().__init__(("127.0.0.1", 0), _TokenHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _TokenHandler(BaseHTTPRequestHandler):
    server: TokenRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, *details: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _token(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        if self.command == "POST":
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return self._answer(404)  # only the older way is known here
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {wanted}":
            return self._answer(401)
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        token = f"token-{len(self.server.tokens)}-{' '.join(scopes)}".replace(" ", "+")
        self.server.tokens.add(token)
        return self._answer(200, json.dumps({"token": token, "expires_in": 300}).encode())

    def _serve(self) -> None:
        if self.path.startswith("/token"):
            return self._token()
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else None
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.server.tokens:
            realm = f'Bearer realm="http://{self.server.host}/token",service="test"'
            return self._answer(401, WWW_Authenticate=realm)
        request = urllib.request.Request(
            f"http://{self.server.behind}{self.path}", data=body, method=self.command
        )
        for name in ("Accept", "Content-Type", "Range"):
            if self.headers.get(name):
                request.add_header(name, self.headers[name])
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as response:
                status, headers, data = response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            status, headers, data = error.code, error.headers, error.read()
        passed = {}
        for name in ("Content-Type", "Docker-Content-Digest", "Location"):
            if headers.get(name):
                passed[name.replace("-", "_")] = headers[name].replace(self.server.behind, self.server.host)
        if self.command == "HEAD" and headers.get("Content-Length"):
            data = bytes(int(headers["Content-Length"]))
        return self._answer(status, data, **passed)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _serve
