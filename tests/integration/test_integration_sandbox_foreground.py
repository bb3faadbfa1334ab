"""Processes with the caller's own streams: a child of the test is the caller, with pipes or a terminal."""

from __future__ import annotations

import os
import select
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import DEADLINE

from builder.core.process import overlay_mount
from builder.sandbox.process import Process
from builder.sandbox.run import run_foreground

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Path]:
    for name in ("base/bin", "upper", "work", "scratch"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tmp_path / "base/bin/busybox")
    for name in ("sh", "cat", "sleep", "stty", "test", "yes"):
        (tmp_path / "base/bin" / name).symlink_to("busybox")
    yield tmp_path
    assert list((tmp_path / "scratch").iterdir()) == []


def script(text: str) -> Process:
    return Process(("/bin/sh", "-c", text), env=(("PATH", "/bin"),))


def call(box: Path, process: Process) -> None:
    """In the child: run, and end with the process's status."""
    status = 99
    try:
        base = os.open(box, os.O_PATH)
        root = overlay_mount(base, ["base"], "upper", "work")
        status = run_foreground(process, root, scratch=str(box / "scratch")).status
    finally:
        os._exit(status)


def with_pipes(
    box: Path, process: Process, given: bytes = b"", signals: tuple[int, ...] = ()
) -> tuple[int, bytes]:
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(in_read, 0)
        os.dup2(out_write, 1)
        for fd in (in_read, in_write, out_read, out_write):
            os.close(fd)
        call(box, process)
    os.close(in_read)
    os.close(out_write)
    os.write(in_write, given)
    os.close(in_write)
    output = b""
    for number in signals:
        output += os.read(out_read, 100)  # it has started
        os.kill(child, number)
    while data := os.read(out_read, 4096):
        output += data
    os.close(out_read)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output


def test_input_only_if_interactive(box: Path) -> None:
    assert with_pipes(box, script("cat; exit 4"), b"text") == (4, b"")
    shutil.rmtree(box / "work")
    (box / "work").mkdir()
    assert with_pipes(box, replace(script("cat; exit 4"), interactive=True), b"text") == (4, b"text")


def test_signals_are_passed_on(box: Path) -> None:
    text = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    assert with_pipes(box, script(text), signals=(signal.SIGTERM,)) == (5, b"ready\ngot\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_without_a_handler_ends_too(box: Path, number: int) -> None:
    # No shell: whether one catches SIGINT depends on what it is just doing.
    status, output = with_pipes(box, Process(("/bin/yes", "ready")), signals=(number,))
    assert status == 137
    assert output.startswith(b"ready\n")


def test_a_second_signal_always_ends(box: Path) -> None:
    text = "trap 'echo no' INT; echo ready; while :; do sleep 0.05; done"
    status, output = with_pipes(box, script(text), signals=(signal.SIGINT, signal.SIGINT))
    assert (status, output) == (137, b"ready\nno\n")


def test_terminal(box: Path) -> None:
    process = replace(
        script("test -t 0 && test -t 1 && echo is one; stty size; read line; echo [$line] $TERM; exit 6"),
        terminal=True,
        interactive=True,
    )
    child, master = os.forkpty()
    if child == 0:
        call(box, process)
    output = b""
    os.write(master, b"typed\n")
    while select.select([master], [], [], DEADLINE)[0]:
        try:
            output += os.read(master, 4096)
        except OSError:
            break  # the other side is closed
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(master)
    assert status == 6, output
    assert b"is one" in output
    assert b"[typed] xterm" in output
