"""What lies elsewhere: ADD of URLs and git repositories, and contexts that are no folder, against real servers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import DEADLINE, Run
from web_server import Web, bytes_of, cut_short, failing, redirect, run_web

from builder.errors import StepError
from builder.remote import http

HELLO = b"hello\n"
DIGEST = hashlib.sha256(HELLO).hexdigest()


@pytest.fixture
def web() -> Iterator[Web]:
    with run_web() as server:
        server.answers["/hello"] = bytes_of(
            HELLO, ETag='"one"', Last_Modified="Sat, 01 Jan 2022 00:00:00 GMT"
        )
        yield server


@pytest.fixture
def build(pybuild: Run, context: Path, tmp_path: Path) -> Callable[..., Path]:
    """Builds a build file to a folder, and gives that back."""

    def build(text: str, *args: str) -> Path:
        (context / "Buildfile").write_text(text)
        pybuild("build", "-o", tmp_path / "out", "--report", tmp_path / "report.json", *args, context)
        return tmp_path / "out"

    return build


def outcomes(tmp_path: Path) -> list[str]:
    report = json.loads((tmp_path / "report.json").read_text())
    return [step["outcome"] for step in report["steps"] if "[internal]" not in step["title"]][:-1]


def archive(files: dict[str, bytes], mode: str = "w:gz", mtime: int = 0) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.mode, entry.mtime = len(data), 1234, 0o640, mtime
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


# --- ADD of URLs ---


def test_a_file_keeps_its_time_and_is_for_root_only(web: Web, build: Callable[..., Path]) -> None:
    out = build(f"FROM scratch\nADD {web.url}/hello?x=1#y /d/\nADD {web.url}/hello /name\n")
    for path in (out / "d/hello", out / "name"):
        stat = path.stat()
        assert path.read_bytes() == HELLO
        assert (stat.st_mode & 0o7777, stat.st_mtime) == (0o600, 1640995200)


def test_a_file_without_a_time_is_from_1970(web: Web, build: Callable[..., Path]) -> None:
    web.answers["/x"] = bytes_of(HELLO)
    out = build(f"FROM scratch\nADD --chmod=u=rw,go=r --chown=5:6 {web.url}/x /\n")
    stat = (out / "x").stat()
    assert (stat.st_mode & 0o7777, stat.st_mtime) == (0o644, 0)
    assert (stat.st_uid, stat.st_gid) == (5, 6)


def test_what_did_not_change_is_not_sent_again(web: Web, build: Callable[..., Path], tmp_path: Path) -> None:
    text = f"FROM scratch\nADD {web.url}/hello /\n"
    build(text)
    build(text)
    assert outcomes(tmp_path) == ["hit"]
    assert web.asked[-1][1]["If-None-Match"] == '"one"'
    web.answers["/hello"] = bytes_of(b"changed\n", ETag='"two"')
    out = build(text)
    assert (out / "hello").read_bytes() == b"changed\n"
    report = json.loads((tmp_path / "report.json").read_text())
    reasons = [reason["part"] for step in report["steps"] for reason in step.get("reasons", ())]
    assert f"url {web.url}/hello" in reasons


def test_a_server_that_ignores_the_question_is_not_read_again(web: Web, build: Callable[..., Path]) -> None:
    sent = []

    def answer(request: object) -> None:
        sent.append(1)
        bytes_of(HELLO)(request)  # type: ignore[arg-type]

    web.answers["/h"] = answer
    text = f"FROM scratch\nADD {web.url}/h /\n"
    build(text)
    build(text)
    assert len(sent) == 2  # without an ETag nobody knows, so that it is fetched again


def test_same_bytes_from_another_server_state_are_a_hit(
    web: Web, build: Callable[..., Path], tmp_path: Path
) -> None:
    text = f"FROM scratch\nADD {web.url}/hello /\n"
    build(text)
    web.answers["/hello"] = bytes_of(HELLO, ETag='"other"')
    build(text)
    assert outcomes(tmp_path) == ["hit"]


def test_with_a_checksum_the_network_is_not_needed_twice(web: Web, build: Callable[..., Path]) -> None:
    text = f"FROM scratch\nADD --checksum=sha256:{DIGEST} {web.url}/hello /\n"
    build(text)
    count = len(web.asked)
    build(text + "ADD --checksum=sha256:" + DIGEST + f" {web.url}/elsewhere /\n")
    assert len(web.asked) == count


def test_another_checksum_is_refused(web: Web, pybuild: Run, context: Path, store: Path) -> None:
    wrong = "0" * 64
    (context / "Buildfile").write_text(f"FROM scratch\nADD --checksum=sha256:{wrong} {web.url}/hello /\n")
    done = pybuild("build", "--progress", "plain", context, ok=False)
    assert done.returncode == 1
    assert f"has the digest sha256:{DIGEST}, not sha256:{wrong}" in done.stderr
    assert f"{context}/Buildfile:2:5: error: " in done.stderr
    assert not (store / "blobs" / "sha256" / DIGEST).exists()


def test_archives_are_unpacked_only_if_asked_for(web: Web, build: Callable[..., Path]) -> None:
    data = archive({"a": b"1", "b/c": b"2"})
    web.answers["/x.tar.gz"] = bytes_of(data)
    out = build(f"FROM scratch\nADD {web.url}/x.tar.gz /plain/\nADD --unpack {web.url}/x.tar.gz /un\n")
    assert (out / "plain/x.tar.gz").read_bytes() == data
    assert (out / "un/a").read_bytes() == b"1"
    assert (out / "un/b/c").read_bytes() == b"2"


def test_sources_are_added_in_their_order(web: Web, build: Callable[..., Path], context: Path) -> None:
    (context / "hello").write_bytes(b"local\n")
    out = build(f"FROM scratch\nADD hello {web.url}/hello /a/\nADD {web.url}/hello hello /b/\n")
    assert (out / "a/hello").read_bytes() == HELLO
    assert (out / "b/hello").read_bytes() == b"local\n"


def test_redirects_are_followed_but_not_for_ever(web: Web, build: Callable[..., Path], pybuild: Run) -> None:
    web.answers["/a"] = redirect("/b?c", 301)
    web.answers["/b"] = redirect(f"{web.url}/hello", 307)
    web.answers["/loop"] = redirect("/loop")
    web.answers["/file"] = redirect("file:///etc/passwd")
    assert (build(f"FROM scratch\nADD {web.url}/a /x/\n") / "x/a").read_bytes() == HELLO
    for path, reason in (("loop", "redirects more than 10 times"), ("file", "no http(s) URL")):
        context = Path(str(build(f"FROM scratch\nADD {web.url}/a /x/\n"))).parent / "context"
        (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/{path} /x\n")
        done = pybuild("build", context, ok=False)
        assert done.returncode == 1
        assert reason in done.stderr


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "404 Not Found"),
        (403, "403 Forbidden"),
        (410, "410 Gone"),
        (599, "599"),
        (204, "204 No Content"),
    ],
)
def test_a_server_that_refuses(web: Web, pybuild: Run, context: Path, status: int, said: str) -> None:
    web.answers["/x"] = failing(status)
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/x /x\n")
    done = pybuild("build", context, ok=False)
    assert done.returncode == 1
    assert f"Buildfile:2:5: error: {web.url}/x cannot be fetched: the server answers {said}" in done.stderr


class _Sink:
    """Takes a download; counts the tries, and never sleeps."""

    def __init__(self) -> None:
        self.data, self.tries, self.slept = b"", 0, 0.0

    def transfer(self, cancelled: Callable[[], bool] = lambda: False) -> http.Transfer:
        def write(data: bytes) -> None:
            self.data += data

        def restart() -> None:
            self.data, self.tries = b"", self.tries + 1

        def sleep(seconds: float) -> None:
            self.slept += seconds

        return http.Transfer(write, restart, lambda done, total: None, cancelled, sleep)


def test_passing_failures_are_tried_again_from_the_start(web: Web) -> None:
    answers = [failing(503), cut_short, bytes_of(HELLO)]
    web.answers["/x"] = lambda request: answers.pop(0)(request)  # noqa: PLW0108  the list changes
    sink = _Sink()
    assert http.download(f"{web.url}/x", sink.transfer()).fresh
    assert (sink.data, sink.tries, sink.slept) == (HELLO, 3, 3.0)


def test_an_answer_that_is_always_cut_short(web: Web) -> None:
    web.answers["/x"] = cut_short
    sink = _Sink()
    with pytest.raises(StepError, match="the answer is cut short"):
        http.download(f"{web.url}/x", sink.transfer())
    assert sink.tries == 4


def test_a_server_that_stalls(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib3

    ended = threading.Event()
    web.answers["/x"] = lambda request: ended.wait(DEADLINE) and None
    monkeypatch.setattr(http, "_TIMEOUT", urllib3.Timeout(connect=1, read=0.2))
    try:
        with pytest.raises(StepError, match="does not answer in time"):
            http.download(f"{web.url}/x", _Sink().transfer())
    finally:
        ended.set()


def test_a_file_without_end_is_bounded(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST", 5)
    with pytest.raises(StepError, match="larger than"):
        http.download(f"{web.url}/hello", _Sink().transfer())


def test_nobody_listens() -> None:
    sink = _Sink()
    with pytest.raises(StepError, match="the host refuses the connection"):
        http.download("http://127.0.0.1:1/x", sink.transfer())
    assert sink.tries == 1


def test_credentials_go_to_their_own_host_and_are_never_shown(
    web: Web, build: Callable[..., Path], tmp_path: Path, store: Path
) -> None:
    with run_web() as other:
        other.answers["/hello"] = bytes_of(HELLO)
        web.answers["/x"] = redirect(f"{other.url}/hello")
        url = f"{web.url}/x".replace("http://", "http://me:hush-hush@")
        build("FROM scratch\nARG U\nADD $U /x\n", "--build-arg", f"U={url}")
        assert web.asked[0][1]["Authorization"].startswith("Basic ")
        assert "Authorization" not in other.asked[0][1]
    (tmp_path / "token").write_text("s3cret-token\n")
    web.asked.clear()
    web.answers["/x"] = bytes_of(HELLO)
    build(
        f"FROM scratch\nADD {web.url}/x /x\n",
        "--secret",
        f"id=HTTP_AUTH_TOKEN_127.0.0.1,src={tmp_path / 'token'}",
    )
    assert web.asked[0][1]["Authorization"] == "Bearer s3cret-token"
    kept = b"".join(path.read_bytes() for path in store.rglob("pybuild.db*"))
    assert b"s3cret-token" not in kept
    assert b"url http://me:***@" in kept or b"http://me:***@" in kept


# --- git ---


def git(folder: Path, *args: str) -> str:
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    times = {"GIT_AUTHOR_DATE": "1600000000 +0000", "GIT_COMMITTER_DATE": "1600000000 +0000"}
    env = {**os.environ, **identity, **times, "GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(
        ["git", "-C", folder, *args], env=env, check=True, capture_output=True, text=True, umask=0o077
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a tag `v1` on its first commit, a branch `dev`, a folder and a link."""
    folder = tmp_path / "repositories" / "it.git"
    (folder / "sub").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "a").write_text("one\n")
    (folder / "sub" / "run").write_text("#!/bin/sh\n")
    (folder / "sub" / "run").chmod(0o700)
    (folder / "out").symlink_to("../../..")
    (folder / "Buildfile").write_text("FROM scratch\nCOPY . /\n")
    (folder / ".dockerignore").write_text("a\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "-a", "v1", "-m", "first")
    git(folder, "branch", "dev")
    (folder / "a").write_text("two\n")
    git(folder, "commit", "-q", "-a", "-m", "two")
    return folder


@pytest.fixture
def hosted(web: Web, repository: Path) -> str:
    """The address of the repository on a smart http server."""
    web.repositories = repository.parent
    return f"{web.url}/it.git"


def test_a_repository_is_added_without_its_git_folder(
    hosted: str, build: Callable[..., Path], tmp_path: Path
) -> None:
    text = f"FROM scratch\nADD {hosted} /repo\nADD {hosted}#v1 /old/\nADD {hosted}#dev:sub /sub\n"
    out = build(text)
    assert (out / "repo/a").read_text() == "two\n"
    assert (out / "old/a").read_text() == "one\n"
    assert [path.name for path in (out / "sub").iterdir()] == ["run"]
    assert (out / "sub/run").stat().st_mode & 0o7777 == 0o755
    assert (out / "repo/a").stat().st_mode & 0o7777 == 0o644
    assert os.readlink(out / "repo/out") == "../../.."
    assert not (out / "repo/.git").exists()
    build(text)
    assert outcomes(tmp_path) == ["hit"] * 3


def test_a_branch_that_moved_is_a_miss(
    hosted: str, repository: Path, build: Callable[..., Path], tmp_path: Path
) -> None:
    text = f"FROM scratch\nADD {hosted} /repo\nADD {hosted}#v1 /old\n"
    build(text)
    (repository / "a").write_text("three\n")
    git(repository, "commit", "-q", "-a", "-m", "three")
    assert (build(text) / "repo/a").read_text() == "three\n"
    report = json.loads((tmp_path / "report.json").read_text())
    reasons = [reason["part"] for step in report["steps"] for reason in step.get("reasons", ())]
    assert f"git {hosted}" in reasons


def test_commits_checksums_and_the_git_folder(
    hosted: str, repository: Path, build: Callable[..., Path], pybuild: Run, context: Path
) -> None:
    commit = git(repository, "rev-parse", "v1^{commit}")
    head = git(repository, "rev-parse", "HEAD")
    out = build(
        f"FROM scratch\nADD {hosted}#{commit} /a\nADD --checksum={commit} {hosted}#v1 /b\n"
        f"ADD --keep-git-dir=true {hosted} /c\nADD {hosted}?mtime=commit /d\n"
    )
    assert (out / "a/a").read_text() == (out / "b/a").read_text() == "one\n"
    assert git(out / "c", "-c", "safe.directory=*", "rev-parse", "HEAD") == head
    assert git(out / "c", "-c", "safe.directory=*", "status", "--porcelain") == ""
    assert (out / "d/a").stat().st_mtime == 1600000000
    (context / "Buildfile").write_text(f"FROM scratch\nADD --checksum={commit} {hosted}#main /b\n")
    done = pybuild("build", context, ok=False)
    assert f"is at commit {head}, not at {commit}" in done.stderr


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ("#nope", "no branch or tag 'nope'"),
        ("#main:nope", "no folder 'nope'"),
        ("#main:a", "no folder 'a'"),
        ("#abcdef12", "whole id"),
    ],
)
def test_what_a_repository_has_not(hosted: str, pybuild: Run, context: Path, tail: str, said: str) -> None:
    (context / "Buildfile").write_text(f"FROM scratch\nADD {hosted}{tail} /b\n")
    done = pybuild("build", context, ok=False)
    assert done.returncode == 1
    assert said in done.stderr


def test_no_such_repository(web: Web, pybuild: Run, context: Path, tmp_path: Path) -> None:
    web.repositories = tmp_path
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/nope.git /b\n")
    done = pybuild("build", context, ok=False)
    assert done.returncode == 1
    assert "cannot be listed: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_submodule_comes_along_unless_told_otherwise(
    web: Web, hosted: str, repository: Path, build: Callable[..., Path]
) -> None:
    outer = repository.parent / "outer.git"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "main")
    git(outer, "-c", "protocol.allow=always", "submodule", "add", "-q", "--", str(repository), "inner")
    git(outer, "config", "-f", ".gitmodules", "submodule.inner.url", "../it.git")
    git(outer, "commit", "-q", "-a", "-m", "outer")
    out = build(
        f"FROM scratch\nADD {web.url}/outer.git /with\nADD {web.url}/outer.git?submodules=false /without\n"
    )
    assert (out / "with/inner/a").read_text() == "two\n"
    assert not (out / "with/inner/.git").exists()
    assert list((out / "without/inner").iterdir()) == []


def test_a_token_for_git_reaches_no_other_process(
    web: Web, hosted: str, build: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("tok3n")
    build(f"FROM scratch\nADD {hosted} /\n", "--secret", f"id=GIT_AUTH_TOKEN,src={tmp_path / 'token'}")
    sent = {headers.get("Authorization", "") for path, headers in web.asked if "it.git" in path}
    assert sent == {"basic eC1hY2Nlc3MtdG9rZW46dG9rM24="}


# --- contexts ---


def test_a_context_from_git_has_no_ignore_rules(hosted: str, pybuild: Run, tmp_path: Path) -> None:
    pybuild("build", "-o", tmp_path / "out", f"{hosted}#v1")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".dockerignore",
        "Buildfile",
        "a",
        "out",
        "sub",
    ]
    pybuild("build", "-o", tmp_path / "sub", "-f", "-", f"{hosted}#:sub", input="FROM scratch\nCOPY run /\n")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["run"]
    done = pybuild("build", "-f", "../../etc/passwd", hosted, ok=False)
    assert done.returncode == 2
    assert "there is no ../../etc/passwd in" in done.stderr


@pytest.mark.parametrize(("value", "kept"), [("1", True), ("0", False)])
def test_a_context_from_git_keeps_its_git_folder_if_told_to(
    hosted: str, pybuild: Run, tmp_path: Path, value: str, kept: bool
) -> None:
    pybuild("build", "-o", tmp_path / "out", "--build-arg", f"BUILDKIT_CONTEXT_KEEP_GIT_DIR={value}", hosted)
    assert (tmp_path / "out" / ".git").exists() == kept


def test_the_time_of_a_commit_as_the_time_of_the_image(hosted: str, pybuild: Run) -> None:
    pybuild("build", "-t", "x", "--build-arg", "SOURCE_DATE_EPOCH=context", hosted)
    assert "2020-09-13T12:26:40Z" in pybuild("inspect", "x").stdout


def test_the_time_of_a_named_context_as_the_time_of_the_image(
    hosted: str, pybuild: Run, context: Path, web: Web
) -> None:
    (context / "Buildfile").write_text("FROM scratch\nCOPY --from=sources a /a\n")
    before = len(web.asked)
    named = ["--build-context", f"sources={hosted}", "--build-arg", "SOURCE_DATE_EPOCH=sources"]
    pybuild("build", "-t", "x", *named, context)
    assert "2020-09-13T12:26:40Z" in pybuild("inspect", "x").stdout
    asked = [path for path, _ in web.asked[before:]]
    assert asked.count("/it.git/git-upload-pack") == 2  # for the commit and for its files, once each


@pytest.mark.parametrize("source", ["{web}/it.git", "{web}/hello", "{web}/files.tgz"])
def test_the_time_of_what_a_stage_fetches_as_the_time_of_the_image(
    hosted: str, pybuild: Run, context: Path, web: Web, source: str
) -> None:
    packed = archive({"a": b"1"}, mtime=1300000000)
    web.answers["/files.tgz"] = bytes_of(packed)
    seconds = {"it.git": 1600000000, "hello": 1640995200, "files.tgz": 1300000000}[
        source.removeprefix("{web}/")
    ]
    (context / "Buildfile").write_text(
        f"ARG SOURCE_DATE_EPOCH=Made\nFROM scratch AS made\nARG from=nowhere\nADD $from /\n"
        f'FROM base\nARG SOURCE_DATE_EPOCH\nRUN test "$SOURCE_DATE_EPOCH" = {seconds}\n'
    )
    pybuild("build", "-t", "x", "--build-arg", f"from={source.format(web=web.url)}", context)
    created = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert json.loads(pybuild("inspect", "x").stdout)[0]["Created"] == created


def test_the_time_of_the_newest_file_of_an_archive_as_the_time_of_the_image(web: Web, pybuild: Run) -> None:
    packed = archive({"Dockerfile": b"ARG SOURCE_DATE_EPOCH=context\nFROM scratch\n"}, mtime=1300000000)
    web.answers["/context"] = bytes_of(packed)
    pybuild("build", "-t", "x", f"{web.url}/context")
    assert json.loads(pybuild("inspect", "x").stdout)[0]["Created"] == "2011-03-13T07:06:40Z"
    pybuild("build", "-t", "y", "-", input=packed, text=False)
    assert b"2011-03-13T07:06:40Z" in pybuild("inspect", "y", text=False).stdout


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:bz2", "w:xz"])
def test_a_context_from_an_archive(web: Web, pybuild: Run, tmp_path: Path, mode: str) -> None:
    data = archive({"Dockerfile": b"FROM scratch\nCOPY d /\n", "d/f": HELLO, ".dockerignore": b"d\n"}, mode)
    web.answers["/context"] = bytes_of(data)
    pybuild("build", "-o", tmp_path / "a", f"{web.url}/context")
    pybuild("build", "-o", tmp_path / "b", "-", input=data, text=False)
    for name in ("a", "b"):
        assert (tmp_path / name / "f").read_bytes() == HELLO
        assert (tmp_path / name / "f").stat().st_uid == 0
    other = archive({"x/Other": b"FROM scratch\nCOPY x /\n"}, mode)
    pybuild("build", "-o", tmp_path / "c", "-f", "x/Other", "-", input=other, text=False)
    assert (tmp_path / "c" / "Other").exists()


def test_a_build_file_from_standard_input_or_a_url(
    web: Web, pybuild: Run, context: Path, tmp_path: Path
) -> None:
    text = "FROM scratch\nCOPY <<E /x\nhi\nE\n"
    web.answers["/Some.Dockerfile"] = bytes_of(text.encode())
    pybuild("build", "-o", tmp_path / "a", "-", input=text)
    pybuild("build", "-o", tmp_path / "b", f"{web.url}/Some.Dockerfile")
    (context / "f").write_text("f")
    web.answers["/Other"] = bytes_of(b"FROM scratch\nCOPY f /x\n")
    pybuild("build", "-o", tmp_path / "c", "-f", f"{web.url}/Other", context)
    web.answers["/files.tar"] = bytes_of(archive({"a": b"1"}))
    done = pybuild("build", "-f", f"{web.url}/files.tar", context, ok=False)
    assert done.stderr.endswith(f"error: {web.url}/files.tar is an archive, not a build file\n")
    assert [(tmp_path / name / "x").read_text() for name in "abc"] == ["hi\n", "hi\n", "f"]
    web.answers["/wrong"] = bytes_of(b"FROM scratch\nRUNN x\n")
    done = pybuild("build", f"{web.url}/wrong", ok=False)
    assert done.returncode == 2
    assert f"{web.url}/wrong:2:1: error: " in done.stderr


@pytest.mark.parametrize(
    ("args", "stdin", "said"),
    [
        (("-f", "-", "-"), b"x", "both the build file and the context"),
        (("-",), b"", "standard input is empty"),
        (("-f", "other", "-"), b"FROM scratch\n", "is a build file, and -f names another"),
        (("-",), archive({"a": b""}), "there is no build file in standard input"),
        (("--build-context", "x=-", "."), b"", "cannot come from standard input"),
        (("https://h/x.git?ref=",), b"", "the query ref has no value"),
        (("http://[::1",), b"", "not a URL"),
        (("-f", "http://", "."), b"", "names no host"),
    ],
)
def test_contexts_that_cannot_be_meant(pybuild: Run, args: tuple[str, ...], stdin: bytes, said: str) -> None:
    done = pybuild("build", *args, input=stdin, text=False, ok=False)
    assert done.returncode == 2
    assert said in done.stderr.decode()


def test_named_contexts_from_elsewhere(
    web: Web, hosted: str, pybuild: Run, context: Path, tmp_path: Path
) -> None:
    web.answers["/x.tgz"] = bytes_of(archive({"f": HELLO, ".dockerignore": b"f\n"}))
    (context / "Buildfile").write_text("FROM scratch\nCOPY --from=web f /\nCOPY --from=git sub /\n")
    pybuild(
        "build", "-o", tmp_path / "out", "--build-context", f"web={web.url}/x.tgz",
        "--build-context", f"git={hosted}#v1", "--build-context", f"unused={web.url}/nope", context,
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["f", "run"]
    assert "/nope" not in web.paths()


def test_a_hostile_archive_leaves_nothing_behind(web: Web, pybuild: Run, tmp_path: Path, store: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        link = tarfile.TarInfo("away")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        entry = tarfile.TarInfo("away/written")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    done = pybuild("build", "-", input=stream.getvalue(), text=False, ok=False)
    assert done.returncode != 0
    assert not (tmp_path / "written").exists()
    assert list((store / "runs").iterdir()) == []


def test_ctrl_c_stops_a_download(web: Web, context: Path, tmp_path: Path, store: Path) -> None:
    import signal
    import sys

    started, ended = threading.Event(), threading.Event()

    def drip(request: object) -> None:
        request.send_response(200)  # type: ignore[attr-defined]
        request.send_header("Content-Length", "1000000")  # type: ignore[attr-defined]
        request.end_headers()  # type: ignore[attr-defined]
        started.set()
        try:
            while not ended.wait(0.05):
                request.wfile.write(b"x")  # type: ignore[attr-defined]
        except OSError:
            pass

    web.answers["/slow"] = drip
    (context / "Buildfile").write_text(f"FROM scratch\nADD {web.url}/slow /x\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "builder", "build", "--store", store, context],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.wait(DEADLINE)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE)  # the download would take hours
    finally:
        ended.set()
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not list((store / "blobs" / "sha256").iterdir())
