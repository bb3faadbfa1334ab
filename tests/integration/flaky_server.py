"""A server in front of a registry that stalls, breaks off or fails where a test says so."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from conftest import DEADLINE

# What to do with a request, by its method and path: "" passes it on.
Behaviour = Callable[[str, str], str]


class FlakyServer(ThreadingHTTPServer):
    """`behave` answers with "", `stall` (say nothing), `reset` (break off at once), `half` (break off in the middle of the
    body), `trickle` (half of the body, then nothing), `dribble` (a byte now and then, without an end), `slow` (all of it, in
    ten pieces with a `pause` behind each), `sip` (take a byte of what is sent now and then) or a status. `seen` has all requests, `done` those whose answer
    was given as a whole.
    """

    daemon_threads = True
    # The stalled end with the server.
    block_on_close = False

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.behave: Behaviour = lambda method, path: ""
        self.seen: list[str] = []
        self.done: list[str] = []
        self.pause = 0.1
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *details: object) -> None:
        pass  # clients go away while they are kept waiting


class _Handler(BaseHTTPRequestHandler):
    server: FlakyServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *details: object) -> None:
        pass

    def _serve(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        how = self.server.behave(self.command, self.path)
        length = int(self.headers.get("Content-Length", 0))
        if how == "sip":
            while not self.server.over.wait(0.1) and self.rfile.read(1):
                pass
            self._break()
            return
        body = self.rfile.read(length) if length else None
        if how == "stall":
            self.server.over.wait()
            how = "reset"
        if how == "reset":
            self._break()
            return
        if how.isdigit():
            self._answer(int(how), b"", {})
            return
        status, headers, data = self._ask(body)
        passed = {
            name: headers[name].replace(self.server.behind, self.server.host)
            for name in ("Content-Type", "Docker-Content-Digest", "Location", "Content-Range", "ETag")
            if headers.get(name)
        }
        if self.command == "HEAD" and headers.get("Content-Length"):
            data = bytes(int(headers["Content-Length"]))
        self._answer(status, data, passed, how)

    def _ask(self, body: bytes | None):  # type: ignore[no-untyped-def]
        request = urllib.request.Request(
            f"http://{self.server.behind}{self.path}", data=body, method=self.command
        )
        if body is not None:
            request.add_header("Content-Type", "application/octet-stream")
        for name, value in self.headers.items():
            if name.lower() in (
                "accept",
                "content-type",
                "range",
                "authorization",
            ) or name.lower().startswith("x-amz-"):
                request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def _answer(self, status: int, data: bytes, headers: dict[str, str], how: str = "") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in self._pieces(data, how):
            self.wfile.write(piece)
            self.wfile.flush()
        if not how:
            self.server.done.append(f"{self.command} {self.path}")
        if how == "trickle":
            self.server.over.wait()
        if how in ("half", "trickle"):
            self._break()

    def _pieces(self, data: bytes, how: str) -> Iterator[bytes]:
        if how in ("half", "trickle"):
            yield data[: len(data) // 2]
        elif how == "dribble":
            for number in range(len(data) - 1):
                yield data[number : number + 1]
                self.server.over.wait(0.1)
            self.server.over.wait()  # the last byte never comes
        elif how == "slow":
            for number in range(10):
                yield data[len(data) * number // 10 : len(data) * (number + 1) // 10]
                self.server.over.wait(self.server.pause)
        else:
            yield data

    def _break(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _serve
