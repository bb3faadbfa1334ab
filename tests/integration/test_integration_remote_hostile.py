"""Servers, repositories and archives that mean no good, and addresses with passwords, against real servers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from conftest import Run
from web_server import Answer, Web, bytes_of, redirect, run_web


@pytest.fixture
def web() -> Iterator[Web]:
    with run_web() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Web]:
    with run_web() as server:
        yield server


def raw(head: bytes, body: bytes = b"hi") -> Answer:
    """An answer byte for byte."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(head + b"\r\n\r\n" + body)
        request.close_connection = True

    return answer


# --- what servers say ---


@pytest.mark.parametrize("length", [b"abc", b"2, 2", b"-5", b"9" * 5000])
def test_a_length_that_is_none(web: Web, pybuild: Run, context: Path, length: bytes) -> None:
    web.answers["/x"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + length)
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/x /\n")
    done = pybuild("build", context, ok=False)
    assert done.returncode in (0, 1)
    assert "a mistake in pybuild" not in done.stderr


@pytest.mark.parametrize("where", [b"http://[::1", b"http://h:99999/x", b"mailto:u@h"])
def test_a_redirect_to_nowhere(web: Web, pybuild: Run, context: Path, where: bytes) -> None:
    web.answers["/x"] = raw(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + where, b"")
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/x /\n")
    done = pybuild("build", context, ok=False)
    assert done.returncode == 1
    assert "redirects to what is no http(s) URL" in done.stderr
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    "etag", [b'"' + b"x" * 60000 + b'"', b'"a\x01\x0b\x85b"', b'"a\r\n  b"', b'"a\rX-Evil: y"', b"W/", b" "]
)
def test_an_etag_that_cannot_be_sent_back(web: Web, pybuild: Run, context: Path, etag: bytes) -> None:
    web.answers["/x"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: " + etag)
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/x /\n")
    for _ in range(2):
        pybuild("build", context)
    assert len(web.asked) == 2
    sent = web.asked[1][1]
    assert "X-Evil" not in sent
    assert len(sent.get("If-None-Match", "")) < 100
    assert sent.get("If-None-Match", "").isprintable()


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example", "%00"])
def test_a_host_that_cannot_be_is_asked_for_once(pybuild: Run, context: Path, host: str) -> None:
    (context / "Buildfile").write_text(f"FROM scratch\nADD http://{host}/x /\n")
    done = pybuild("build", context, ok=False, timeout=6)
    assert done.returncode == 1
    assert "there is no such host" in done.stderr


# --- passwords ---


def test_a_password_reaches_its_own_host_only(web: Web, other: Web, pybuild: Run, context: Path) -> None:
    web.answers["/a"] = redirect(f"{web.url}/b")
    web.answers["/b"] = redirect(other.url.replace("//", "//evil:x@") + "/c")
    other.answers["/c"] = bytes_of(b"hi")
    address = web.url.replace("//", "//user:s3cr3t@")
    (context / "Buildfile").write_text(f"FROM scratch\nADD {address}/a /\n")
    pybuild("build", context)
    assert [headers.get("Authorization") for _, headers in web.asked] == ["Basic dXNlcjpzM2NyM3Q="] * 2
    assert [headers.get("Authorization") for _, headers in other.asked] == [None]


def test_a_password_is_shown_nowhere(
    web: Web, pybuild: Run, context: Path, tmp_path: Path, store: Path
) -> None:
    web.answers["/a"] = bytes_of(b"hi")
    address = web.url.replace("//", "//user:s3cr3t@")
    report = tmp_path / "report.json"
    for line in (
        f"ADD {address}/a /",
        f'ADD ["{address}/a", "/"]',
        f"ADD {address}/nope /",
        f"ADD {address}/nope.git#x /",
        f"ADD --checksum=sha256:{'0' * 64} {address}/a /",
        f"COPY {address}/a /",
    ):
        (context / "Buildfile").write_text(f"FROM scratch\n{line}\n")
        for progress in ("plain", "rawjson"):
            args = ("--progress", progress, "--report", report, "-t", "x")
            done = pybuild("build", *args, context, ok=False)
            assert "s3cr3t" not in done.stdout + done.stderr
            assert not report.exists() or "s3cr3t" not in report.read_text()
    found = subprocess.run(["grep", "-rl", "s3cr3t", store / "blobs"], capture_output=True)
    assert found.stdout == b""
    assert "ADD http://user:***@" in pybuild("history", "--no-trunc", "x").stdout


# --- the order of sources ---


def test_the_order_of_sources_counts_for_the_cache(
    web: Web, pybuild: Run, context: Path, tmp_path: Path
) -> None:
    web.answers["/f"] = bytes_of(b"far")
    (context / "f").write_text("near")
    for sources, last in ((f"f {web.url}/f", "far"), (f"{web.url}/f f", "near")):
        (context / "Buildfile").write_text(f"FROM scratch\nADD {sources} /d/\n")
        pybuild("build", "-o", tmp_path / last, context)
        assert (tmp_path / last / "d/f").read_text() == last
