"""The client of a registry: which may speak plain http, how a token is asked for, and how long it is used."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from builder.errors import RegistryError
from builder.image.reference import parse_reference
from builder.registry import client as module
from builder.registry.auth import Credentials
from builder.registry.client import Client, is_local


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:5000", "127.0.0.1:5000", "127.3.2.1", "[::1]:5000", "[::1]"]
)
def test_registries_of_this_machine_speak_plain_http(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["docker.io", "localhost.example:80", "10.0.0.1", "128.0.0.1:5000", "example:80"]
)
def test_others_do_not(host: str) -> None:
    assert not is_local(host)
    assert Client(
        parse_reference(f"{host}/a") if "." in host else parse_reference("r.example/a")
    ).base.startswith("https://")


class TokenServer(ThreadingHTTPServer):
    """A registry that wants tokens for everything, and gives them as `answer` says; `post` is its answer to POST."""

    daemon_threads = True
    block_on_close = False  # clients keep their connections open

    def __init__(self, post: int, answer: dict[str, Any]) -> None:
        self.post, self.answer = post, answer
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *details: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path.startswith("/token"):
            self.server.seen.append("GET")
            return self._answer(200, json.dumps(self.server.answer).encode())
        if not self.headers.get("Authorization"):
            realm = f'Bearer realm="http://127.0.0.1:{self.server.server_address[1]}/token",service="s"'
            return self._answer(401, WWW_Authenticate=realm)
        return self._answer(200, b"{}")

    def do_POST(self) -> None:
        self.server.seen.append("POST")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(self.server.post, json.dumps(self.server.answer).encode())


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Iterator[Any]:
    servers: list[TokenServer] = []

    def start(post: int, **answer: object) -> TokenServer:
        servers.append(TokenServer(post, {"token": "t", **answer}))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(server: TokenServer, credentials: Credentials | None, times: int = 1) -> Client:
    client = Client(parse_reference(f"127.0.0.1:{server.server_address[1]}/a"), credentials, waits=())
    for _ in range(times):
        with client.request("GET", "manifests/x") as response:
            assert response.read() == b"{}"
    return client


def test_a_token_is_asked_for_by_post_first(serve: Any) -> None:
    server = serve(200)
    ask(server, Credentials("me", "p"))
    assert server.seen == ["POST"]


@pytest.mark.parametrize("status", [401, 404, 405])
def test_a_server_that_does_not_know_post_is_asked_the_other_way(serve: Any, status: int) -> None:
    server = serve(status)
    ask(server, Credentials("me", "p"))
    assert server.seen == ["POST", "GET"]


def test_without_credentials_there_is_nothing_to_post(serve: Any) -> None:
    server = serve(200)
    ask(server, None)
    assert server.seen == ["GET"]


def test_an_identity_token_goes_by_post_only(serve: Any) -> None:
    server = serve(404)
    with pytest.raises(RegistryError):
        ask(server, Credentials(identity_token="i"))
    assert server.seen == ["POST"]


@pytest.mark.parametrize(
    ("answer", "lasting"),
    [({}, 54), ({"expires_in": 300}, 270), ({"expires_in": 0}, 54), ({"expires_in": "x"}, 54)],
)
def test_a_token_is_used_for_nine_tenths_of_its_time(
    serve: Any, monkeypatch: pytest.MonkeyPatch, answer: dict[str, object], lasting: int
) -> None:
    now = 1000.0

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now

    monkeypatch.setattr(module, "time", Clock)
    server = serve(200, **answer)
    client = ask(server, None, times=2)
    assert server.seen == ["GET"]
    now += lasting - 1
    with client.request("GET", "manifests/x"):
        assert server.seen == ["GET"]
    now += 1
    with client.request("GET", "manifests/x"):
        assert server.seen == ["GET", "GET"]
