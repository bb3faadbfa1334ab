"""Run one process in a rootfs: streams out, a result at the end, nothing left over."""

from __future__ import annotations

import os
import resource
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from errno import EACCES, ENOENT, ENOEXEC, ENOTDIR

from builder.core.process import Child, LaunchMount, LaunchSpec, launch, mount_points
from builder.errors import Cancelled, CommandError, CoreError, SandboxError, StepError, UsageError
from builder.sandbox.network import hosts_file, resolver_file
from builder.sandbox.process import Mount, Process, Result
from builder.sandbox.users import lookup_user

__all__ = ["run_foreground", "run_process", "running"]

_CHUNK = 1 << 16
_CHECK_MS = 50  # how late `cancelled`, or a signal that came just before a wait, may be seen
_LIMIT_NAMES = {
    "core": "CORE", "cpu": "CPU", "data": "DATA", "fsize": "FSIZE", "locks": "LOCKS", "memlock": "MEMLOCK",
    "msgqueue": "MSGQUEUE", "nice": "NICE", "nofile": "NOFILE", "nproc": "NPROC", "rss": "RSS",
    "rtprio": "RTPRIO", "rttime": "RTTIME", "sigpending": "SIGPENDING", "stack": "STACK",
}  # fmt: skip
_LIMIT_NUMBERS = {"locks": 10}  # Linux's, where Python has no constant
_UNLIMITED = (1 << 64) - 1


def run_process(
    process: Process,
    root_fd: int,
    *,
    scratch: str,
    on_output: Callable[[str, bytes], None],
    cancelled: threading.Event | None = None,
) -> Result:
    """Run `process` with `root_fd` (a rootfs mount, used up by it) as its root directory, to its end.

    `on_output` gets ("stdout" or "stderr", bytes) as it comes, in pieces of at most 64 KiB that end
    anywhere. The process ends when its first process does: what it left in the background is killed.
    `scratch` is a private directory of the host for files of this run. Raises `CommandError` (status
    127 or 126) for a command that is not there or may not be run, `StepError` for a bad working directory,
    `SandboxError` when the sandbox cannot be made, `Cancelled` after `cancelled` was set.
    """
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    stdin = -1 if process.stdin is None else process.stdin
    started = time.monotonic()
    try:
        with running(process, root_fd, scratch=scratch, streams=(stdin, out_write, err_write)) as child:
            os.close(out_write)
            os.close(err_write)
            out_write = err_write = -1
            _pump(child, {out_read: "stdout", err_read: "stderr"}, on_output, cancelled)
            status, signal = child.wait()
    finally:
        for fd in (out_read, err_read, out_write, err_write):
            if fd >= 0:
                os.close(fd)
    return Result(status, signal, time.monotonic() - started)


def run_foreground(process: Process, root_fd: int, *, scratch: str) -> Result:
    """Run `process` with the caller's own streams; from the main thread signals are passed on.

    Standard input is the caller's only if `process.interactive`; with `process.terminal` the process gets
    a pseudo terminal joined to the caller's. Raises as `run_process`.
    """
    from builder.sandbox.foreground import attend, attend_terminal

    started = time.monotonic()
    attendant = attend_terminal if process.terminal else attend
    status, signal = attendant(
        lambda streams: running(process, root_fd, scratch=scratch, streams=streams), process.interactive
    )
    return Result(status, signal, time.monotonic() - started)


@contextmanager
def running(
    process: Process, root_fd: int, *, scratch: str, streams: tuple[int, int, int]
) -> Iterator[Child]:
    """A started process with these descriptors as its streams (-1: /dev/null); killed when the block ends."""
    folder = f"{scratch}/run-{os.urandom(8).hex()}"
    os.mkdir(folder, 0o700)
    try:
        spec = _spec(process, root_fd, folder, streams)
        with ExitStack() as stack:
            with _explained(process):
                stack.enter_context(mount_points(spec))
                child = stack.enter_context(launch(spec))
            yield child
    finally:
        for name in ("resolv.conf", "hosts"):
            if os.path.lexists(f"{folder}/{name}"):
                os.unlink(f"{folder}/{name}")
        if os.path.isdir(f"{folder}/root"):
            os.rmdir(f"{folder}/root")
        os.rmdir(folder)


def _spec(process: Process, root_fd: int, folder: str, streams: tuple[int, int, int]) -> LaunchSpec:
    user = lookup_user(root_fd, process.user)
    env = dict(process.env)
    env["HOME"] = env.get("HOME") or user.home  # an empty one counts as none, as for runc
    if process.terminal:
        env.setdefault("TERM", "xterm")
    os.mkdir(f"{folder}/root", 0o700)
    _write(f"{folder}/resolv.conf", resolver_file(shares_network=process.network != "none"))
    _write(f"{folder}/hosts", hosts_file(process.hostname, process.extra_hosts))
    return LaunchSpec(
        root_fd=root_fd,
        mount_point=f"{folder}/root",
        argv=process.argv,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        cwd=process.cwd or "/",
        hostname=process.hostname,
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        mounts=(
            LaunchMount("/etc/resolv.conf", source=f"{folder}/resolv.conf", read_only=True),
            LaunchMount("/etc/hosts", source=f"{folder}/hosts", read_only=True),
            *map(_launch_mount, process.mounts),
        ),
        shm_size=process.shm_size,
        limits=tuple(
            (_limit_number(limit.name), *_bounds(limit.soft, limit.hard)) for limit in process.limits
        ),
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        new_network=process.network == "none",
        keep_capabilities=process.security == "insecure",
        terminal=process.terminal,
    )


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)


def _launch_mount(mount: Mount) -> LaunchMount:
    if mount.kind == "bind":
        fd = -1 if mount.source_fd is None else mount.source_fd
        return LaunchMount(mount.target, source=mount.source, source_fd=fd, read_only=mount.read_only)
    options = [] if mount.size is None else [f"size={mount.size}"]
    if mount.mode is not None:
        options.append(f"mode={mount.mode:o}")
    return LaunchMount(mount.target, type="tmpfs", options=",".join(options), read_only=mount.read_only)


def _limit_number(name: str) -> int:
    if name not in _LIMIT_NAMES:
        known = ", ".join(_LIMIT_NAMES)
        raise UsageError(f'unknown resource limit "{name}"', hint=f"the names are {known}")
    number = getattr(resource, f"RLIMIT_{_LIMIT_NAMES[name]}", None)
    return _LIMIT_NUMBERS[name] if number is None else int(number)


def _what_to_do(error: CoreError) -> str | None:
    """What helps where the kernel does not start a program; the error says why already."""
    if error.errno == ENOENT and "it is there" in error.message:
        return "add what it needs to the image, such as the C library that it was linked with, or link it statically"
    if error.errno == ENOENT:
        return "the image has no such program: add it, or base the stage on an image that has it"
    if error.errno == ENOEXEC:
        return "take one that was built for the image's platform, or begin the script with #!/bin/sh"
    return None


def _bounds(soft: int, hard: int) -> tuple[int, int]:
    return (_UNLIMITED if soft < 0 else soft, _UNLIMITED if hard < 0 else hard)


@contextmanager
def _explained(process: Process) -> Iterator[None]:
    """Say of a failure to start whose it is: the command's, the step's or the machine's."""
    try:
        yield
    except CoreError as error:
        if error.operation == "exec" and process.argv:
            status = 126 if error.errno == EACCES else 127
            raise CommandError(
                f"cannot run {process.argv[0]!r}: {error.message}",
                status=status,
                hint=_what_to_do(error),
            ) from None
        if error.operation in ("enter directory", "make directory") and error.errno in (
            ENOTDIR,
            ENOENT,
            EACCES,
        ):
            raise StepError(f"working directory {process.cwd!r} cannot be used: {error.message}") from None
        raise SandboxError(
            f"cannot start an isolated process: {error.message}",
            hint="this machine, or the container that this runs in, forbids it: docs/ci.md says what a build needs",
        ) from None


def _pump(
    child: Child,
    streams: dict[int, str],
    on_output: Callable[[str, bytes], None],
    cancelled: threading.Event | None,
) -> None:
    """Pass output on until the process has ended and its pipes are empty."""
    poll = select.poll()
    poll.register(child.pidfd, select.POLLIN)
    for fd in streams:
        os.set_blocking(fd, False)
        poll.register(fd, select.POLLIN)
    running_on = True
    while running_on:
        if cancelled is not None and cancelled.is_set():
            raise Cancelled("the command was stopped")
        for fd, _ in poll.poll(_CHECK_MS):
            if fd == child.pidfd:
                running_on = False
            elif not _pass_on(fd, streams[fd], on_output):
                poll.unregister(fd)
    # All processes are dead, so what is left is in the pipes. A writer outside that was handed an end of a
    # pipe would keep it open: reading stops where it is empty.
    for fd, name in streams.items():
        while _pass_on(fd, name, on_output):
            pass


def _pass_on(fd: int, name: str, on_output: Callable[[str, bytes], None]) -> bool:
    try:
        data = os.read(fd, _CHUNK)
    except BlockingIOError:
        return False
    if data:
        on_output(name, data)
    return bool(data)
