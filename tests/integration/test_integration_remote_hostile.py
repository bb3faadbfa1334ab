"""Servers, repositories and archives that mean no good, and addresses with passwords, against real servers."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from conftest import DEADLINE, Run
from web_server import Answer, Web, bytes_of, redirect, run_web

from builder.errors import StepError
from builder.remote import http


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
    done = pybuild("build", context, ok=False)
    assert done.returncode == 1
    assert "there is no such host" in done.stderr
    tries: list[None] = []
    transfer = http.Transfer(
        lambda _: None, lambda: tries.append(None), lambda *_: None, lambda: False, lambda _: None
    )
    with pytest.raises(StepError, match="there is no such host"):
        http.download(f"http://{host}/x", transfer)
    assert len(tries) == 1


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


# --- git ---


def git(folder: Path, *args: str, **env: str) -> str:
    who = (
        "-c",
        "user.name=n",
        "-c",
        "user.email=e@x",
        "-c",
        "protocol.allow=always",
        "-c",
        "safe.directory=*",
    )
    done = subprocess.run(
        ["git", *who, *args],
        cwd=folder,
        env=dict(os.environ, **env),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(web: Web, tmp_path: Path) -> Path:
    """A repository that the server hosts as `it.git`."""
    folder = tmp_path / "served" / "it.git"
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "a").write_text("one\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    web.repositories = folder.parent
    return folder


def test_variables_of_another_git_do_not_confuse(
    web: Web, repository: Path, pybuild: Run, context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook, which git runs with some of these."""
    mine = tmp_path / "mine"
    mine.mkdir()
    git(mine, "init", "-q")
    before = sorted(path for path in mine.rglob("*"))
    for name, value in {
        "GIT_DIR": mine / ".git",
        "GIT_WORK_TREE": mine,
        "GIT_INDEX_FILE": mine / ".git/index",
        "GIT_OBJECT_DIRECTORY": mine / ".git/objects",
        "GIT_QUARANTINE_PATH": mine / ".git/objects",
        "GIT_NAMESPACE": "x",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_PREFIX": "sub/",
        "GIT_LITERAL_PATHSPECS": "1",
    }.items():
        monkeypatch.setenv(name, str(value))
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/it.git#main /\n")
    pybuild("build", "-o", tmp_path / "out", context)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    assert sorted(path for path in mine.rglob("*")) == before


def test_a_password_for_git_stays_out_of_the_kept_folder(
    web: Web, repository: Path, pybuild: Run, context: Path, tmp_path: Path
) -> None:
    address = web.url.replace("//", "//us%40er:s3%23cr3t@")
    (context / "Buildfile").write_text(f"FROM scratch\nADD --keep-git-dir {address}/it.git /\n")
    pybuild("build", "-o", tmp_path / "out", context)
    found = subprocess.run(["grep", "-rE", "s3.*cr3t", tmp_path / "out"], capture_output=True)
    assert found.stdout == b""
    sent = {headers.get("Authorization") for path, headers in web.asked}
    assert sent == {"basic " + b64encode(b"us@er:s3#cr3t").decode()}
    assert f"url = {web.url}/it.git" in (tmp_path / "out/.git/config").read_text()


def test_a_header_for_git_arrives_as_it_is(
    web: Web, repository: Path, pybuild: Run, context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = 'x "a"; b=\\n # c'
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/it.git /\n")
    monkeypatch.setenv("TOKEN", header)
    pybuild("build", "--secret", "id=GIT_AUTH_HEADER,env=TOKEN", context)
    assert {headers.get("Authorization") for _, headers in web.asked} == {header}


def test_a_repository_with_sha256(
    web: Web, repository: Path, pybuild: Run, context: Path, tmp_path: Path
) -> None:
    folder = repository.parent / "long.git"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", "--object-format=sha256")
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    (folder / "a").write_text("one\n")
    git(folder, "add", "a")
    git(folder, "commit", "-q", "-m", "two")
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/long.git /\n")
    pybuild("build", "-o", tmp_path / "out", context)
    assert (tmp_path / "out/a").read_text() == "one\n"


def test_what_git_leaves_running_is_not_waited_for(
    repository: Path, pybuild: Run, context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ssh does with ControlPersist: it keeps standard error open."""
    ssh = tmp_path / "ssh"
    left = tmp_path / "left"
    ssh.write_text(f'#!/bin/sh\nsleep 3600 &\necho $! >> {left}\nfor word; do :; done\neval "exec $word"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    for name, value in (("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    (context / "Buildfile").write_text(f"FROM scratch\nADD ssh://git@host{repository} /\n")
    with (tmp_path / "log").open("wb") as log:
        options = {"capture_output": False, "stdout": log, "stderr": log, "timeout": DEADLINE}
        pybuild("build", "-o", tmp_path / "out", context, **options)
    for pid in map(int, left.read_text().split()):  # they are there still
        os.kill(pid, signal.SIGKILL)
    assert (tmp_path / "out/a").read_text() == "one\n"


@pytest.mark.parametrize("url", ["ext::sh -c touch% {}", "file://{}", "{}"])
def test_a_submodule_of_this_machine_is_refused(
    web: Web, repository: Path, pybuild: Run, context: Path, tmp_path: Path, url: str
) -> None:
    target = tmp_path / "written"
    git(repository, "submodule", "add", "-q", "--", str(repository), "inner")
    git(repository, "config", "-f", ".gitmodules", "submodule.inner.url", url.format(target))
    git(repository, "config", "-f", ".gitmodules", "submodule.inner.update", "checkout")
    git(repository, "commit", "-q", "-a", "-m", "two")
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/it.git /\n")
    done = pybuild("build", context, ok=False)
    assert done.returncode == 1
    assert "cannot be fetched with its submodules" in done.stderr
    assert not target.exists()


def test_names_of_a_repository_may_be_odd(
    web: Web, repository: Path, pybuild: Run, context: Path, tmp_path: Path
) -> None:
    names = [b"new\nline", b"\xff\xfe", b"-rf", b"a\\b", b'quote"', b"$(touch x)", b"x" * 255]
    for name in names:
        (Path(os.fsdecode(repository)) / os.fsdecode(name)).write_text("x")
    git(repository, "submodule", "add", "-q", "--", str(repository), 'in"ner $(touch pwned)')
    git(
        repository,
        "config",
        "-f",
        ".gitmodules",
        "--rename-section",
        'submodule.in"ner $(touch pwned)',
        "submodule.n",
    )
    git(repository, "config", "-f", ".gitmodules", "submodule.n.url", "./")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "two")
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/it.git?submodules=0 /\n")
    pybuild("build", "-o", tmp_path / "out", context)
    assert set(names) < set(os.listdir(os.fsencode(tmp_path / "out")))
    assert not (tmp_path / "out/pwned").exists()


# --- what is asked about a context ---


def test_paths_of_a_context_however_they_are_written(pybuild: Run, context: Path, tmp_path: Path) -> None:
    (context / "sub").mkdir()
    (context / "sub" / "b").write_text("x")
    (context / "Buildfile").write_text("FROM scratch\nCOPY sub /\n")
    for path in ("sub/b", "/sub/b", context / "sub/b", "sub/../sub/b", "../context/sub/b", "./sub//b/"):
        for place, name in ((tmp_path, context), (context, "."), (context / "sub", "..")):
            if str(path).startswith("..") and place != context:
                continue
            said = pybuild("context", name, path, cwd=place).stdout
            assert said == "sub/b is kept in: no rule matches it\n  taken by [1/1] COPY sub /\n"
    assert "there is no such file" in pybuild("context", context, "/etc/passwd/x").stdout
    for path in ("..", "../other", "/etc/passwd", "sub/../../x"):
        done = pybuild("context", ".", path, cwd=context, ok=False)
        assert done.returncode == 2
        assert f'"{path}" is not in the build context' in done.stderr


def test_a_compressed_stream_that_is_no_archive(pybuild: Run) -> None:
    for data in (gzip.compress(b"FROM scratch\n"), b"\x1f\x8b" + b"x" * 1000):
        done = pybuild("build", "-", input=data, text=False, ok=False)
        assert done.returncode == 2
        assert b"standard input is compressed with gzip, but what is in it is no tar archive" in done.stderr
