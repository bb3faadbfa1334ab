"""Build files, ignore files and contexts that are no ordinary files: read whole, or refused in words; nothing hangs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import zstandard
from conftest import DEADLINE

from builder.cli.main import main

TEXT = "FROM scratch\nCOPY . /\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, a context without a build file; the store is beside it."""
    context = tmp_path / "context"
    context.mkdir()
    monkeypatch.setenv("PYBUILD_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(context)
    return context


def failure(capsys: pytest.CaptureFixture[str], *line: str) -> str:
    assert main(list(line)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


def make(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("gone")
    elif kind == "circle":
        path.symlink_to(path.name)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    elif kind == "huge":
        with path.open("wb") as stream:
            stream.truncate(1 << 40)


REASONS = {
    "folder": "cannot be read: it is a folder",
    "pipe": "cannot be read: it is no file, but a pipe or a device",
    "dangling": 'does not exist: it is a link to "gone", which is not there',
    "circle": "cannot be read: Too many levels of symbolic links",
    "socket": "cannot be read: No such device or address",
    "huge": "cannot be read: it is larger than 64 MiB",
}


@pytest.mark.parametrize("kind", REASONS)
@pytest.mark.parametrize("command", ["build", "check"])
def test_what_is_called_like_a_build_file(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, kind: str
) -> None:
    make(folder / "Dockerfile", kind)
    wanted = f'error: the build file "Dockerfile" {REASONS[kind]}\n'
    assert failure(capsys, command, ".").replace("./", "") == wanted


@pytest.mark.parametrize("kind", ["folder", "pipe", "huge"])
def test_a_formatter_writes_nothing_that_it_has_not_read_whole(
    folder: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = folder / "Dockerfile"
    make(path, kind)
    assert failure(capsys, "fmt", "Dockerfile") == f'error: the build file "Dockerfile" {REASONS[kind]}\n'
    if kind == "huge":
        assert path.stat().st_size == 1 << 40


@pytest.mark.parametrize("kind", ["folder", "pipe", "circle", "socket", "huge"])
@pytest.mark.parametrize("line", [["build", "."], ["check"], ["context"]])
def test_what_is_called_like_an_ignore_file(
    folder: Path, capsys: pytest.CaptureFixture[str], line: list[str], kind: str
) -> None:
    (folder / "Dockerfile").write_text(TEXT)
    make(folder / ".dockerignore", kind)
    reason = REASONS[kind].replace("64 MiB", "4 MiB")
    assert failure(capsys, *line).replace("./", "") == f'error: ".dockerignore" {reason}\n'


@pytest.mark.parametrize(
    ("pattern", "reason", "hint"),
    [
        ("a[", "syntax error in pattern", "close every [ with a ]"),
        ("[b-a]", "syntax error in pattern", "write ranges upwards"),
        ("a\\", "syntax error in pattern", "the backslash at the end"),
        ("a\0b", "no path holds a NUL byte", None),
    ],
)
def test_an_ignore_pattern_that_cannot_be_understood(
    folder: Path, capsys: pytest.CaptureFixture[str], pattern: str, reason: str, hint: str | None
) -> None:
    (folder / "Dockerfile").write_text(TEXT)
    (folder / ".dockerignore").write_text(f"# text\r\n{pattern}\r\n")
    assert main(["context"]) == 1
    shown = capsys.readouterr().err
    first, *_, last = shown.splitlines()
    written = repr(pattern)
    assert first == f"./.dockerignore:2:1: error: the ignore pattern {written} cannot be understood: {reason}"
    assert (hint in last) if hint else "hint" not in shown


@pytest.mark.parametrize(
    "text", [b"drop\n", b"\xef\xbb\xbfdrop\n", b"# text\r\n\r\ndrop\r\n", b"drop", b"\xff\ndrop\n"]
)
def test_ignore_files_as_editors_write_them(
    folder: Path, capsys: pytest.CaptureFixture[str], text: bytes
) -> None:
    (folder / "Dockerfile").write_text(TEXT)
    (folder / "drop").touch()
    (folder / ".dockerignore").write_bytes(text)
    assert main(["context", "--", ".", "drop"]) == 0
    assert "drop is left out by ./.dockerignore:" in capsys.readouterr().out


def test_the_names_that_are_looked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("dockerfile", "Containerfile", "Dockerfile", "Buildfile"):
        (folder / name).write_text("FROM scratch\nMISTAKE\n")
        assert failure(capsys, ".").startswith(f"{name}:2:1: error")


# --- standard input ---


def tar_bytes() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        text = b"FROM scratch\nCOPY Dockerfile /x\n"
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return made.getvalue()


PACKED = {
    "none": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


class Pipe:
    """What `sys.stdin` is where a program reads from a pipe that another one writes to, a few bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self.writer = subprocess.Popen(
            [sys.executable, "-c", "import os,sys\nfor b in range(0, len(d := bytes.fromhex(sys.argv[1])), 700): os.write(1, d[b:b+700])", content.hex()],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.writer.stdout is not None
        self.buffer = self.writer.stdout

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize("kind", PACKED)
def test_a_context_from_standard_input_however_packed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pipe = Pipe(PACKED[kind](tar_bytes()))
    monkeypatch.setattr(sys, "stdin", pipe)
    assert main(["build", "--quiet", "-"]) == 0
    assert capsys.readouterr().out.startswith("sha256:")
    assert pipe.writer.wait() == 0
    pipe.buffer.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty"),
        (b"PK\x03\x04\0\0", "standard input is neither a tar archive nor a build file"),
        (
            gzip.compress(b"FROM scratch\n"),
            "standard input is compressed with gzip, but what is in it is no tar archive",
        ),
        (b"\xff\xfeF\0R\0", "stdin is written in UTF-16"),
    ],
)
def test_what_is_no_context(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    message: str,
) -> None:
    pipe = Pipe(content)
    monkeypatch.setattr(sys, "stdin", pipe)
    assert message in failure(capsys, "build", "-")
    pipe.writer.wait()
    pipe.buffer.close()


def test_bytes_that_are_no_text_are_shown_as_bytes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_bytes(b"FR\xc5OM scratch\n")
    assert "unknown instruction: FR\\xc5OM\n" in failure(capsys, "build", ".")
    (folder / "Dockerfile").write_text(TEXT)
    assert "not an image name: 'a\\xff':" in failure(capsys, "build", "-t", "a\udcff", ".")


# --- waiting ---


def opened_for_writing(pipe: Path) -> int:
    """A pipe's other end, as soon as somebody reads from it."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("nobody opens the pipe")


def test_a_pipe_is_waited_for_and_a_signal_ends_that(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    environment = {**os.environ, "PYBUILD_STORE": str(tmp_path / "store")}
    line = [sys.executable, "-m", "builder", "build", "-f", "pipe", "."]
    with subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        writer = opened_for_writing(tmp_path / "pipe")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 128 + signal.SIGTERM
        os.close(writer)


def test_standard_input_is_waited_for_and_a_signal_ends_that(tmp_path: Path) -> None:
    environment = {**os.environ, "PYBUILD_STORE": str(tmp_path / "store")}
    line = [sys.executable, "-m", "builder", "build", "--progress=plain", "-"]
    with subprocess.Popen(
        line, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert b"load remote build context" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["build", "-f", "-", "."], "the build file on standard input is larger than 64 MiB"),
        (["fmt", "-"], "the build file on standard input is larger than 64 MiB"),
        (
            ["build", "-"],
            "standard input is neither an archive nor a build file: it is too long for one",
        ),
    ],
)
def test_what_is_too_long(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: list[str],
    message: str,
) -> None:
    with (folder / "long").open("wb") as stream:
        stream.write(b"#" * 5000)
        stream.truncate(65 << 20)
    with (folder / "long").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert failure(capsys, *line).splitlines()[-1] == f"error: {message}"
