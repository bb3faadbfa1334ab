"""Detached overlay mounts, user namespaces, and processes in namespaces of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from builder.core.binding import check, ffi, lib, new_error
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "CAPABILITIES",
    "DEFAULT_CAPABILITIES",
    "Child",
    "LaunchMount",
    "LaunchSpec",
    "enter_userns",
    "launch",
    "mount_points",
    "overlay_mount",
]

# capability.h's numbers of the names that a container engine may give.
CAPABILITIES = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "DAC_READ_SEARCH": 2,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "SYS_CHROOT": 18,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
    "MKNOD": 27,
    "AUDIT_WRITE": 29,
    "SETFCAP": 31,
}
_DEFAULT_NAMES = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE "
    "SYS_CHROOT KILL AUDIT_WRITE"
)
# What Docker leaves to a container: a bit set, bit N is capability N.
DEFAULT_CAPABILITIES = sum(1 << CAPABILITIES[name] for name in _DEFAULT_NAMES.split())
_SIGNAL_OFFSET = 256
_SIGNAL_CHECK_MS = 200


@dataclass(frozen=True, slots=True)
class LaunchMount:
    """One mount of a launch: a bind of `source` (path on the host) or `source_fd`, or a file system `type`.

    `target` is absolute inside the rootfs; `options` are the file system's, as `size=1m,mode=755`.
    """

    target: str
    source: str | None = None
    source_fd: int = -1
    type: str | None = None
    options: str | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """All that a launch needs; the fields are those of `pb_launch_spec`.

    `limits` holds (resource, soft, hard). Streams are descriptors, -1 is /dev/null. `mount_point` is an
    existing directory of the host. `root_fd` may be moved into the process's mount namespace: it serves
    one launch, and can be read again when that process has ended.
    """

    root_fd: int
    mount_point: str
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    hostname: str | None = None
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    mounts: tuple[LaunchMount, ...] = ()
    capabilities: int = DEFAULT_CAPABILITIES
    shm_size: int = 64 << 20
    limits: tuple[tuple[int, int, int], ...] = ()
    stdin: int = -1
    stdout: int = -1
    stderr: int = -1
    new_network: bool = False
    keep_capabilities: bool = False
    terminal: bool = False
    umask: int = 0o022


class Child:
    """A running process: pid 1 of its own pid namespace, killed when the thread that launched it ends.

    `pidfd` becomes readable at its end. Use it as a context manager: leaving kills and reaps it.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.pid: int = handle.pid

    @property
    def pidfd(self) -> int:
        """The descriptor of the process, -1 once it was waited for."""
        return int(self._handle.pidfd)

    def kill(self, signal: int = 9) -> None:
        """Send a signal; nothing happens if the process has ended."""
        error = new_error()
        check(lib.pb_kill(self._handle, signal, error), error)

    def kill_group(self, signal: int) -> None:
        """Send a signal to the processes of its group, as a terminal would to those in its foreground."""
        if self.pidfd < 0:
            return
        try:
            os.killpg(self.pid, signal)  # it is not reaped yet, so the number is still its own
        except ProcessLookupError:
            pass

    def wait(self) -> tuple[int, int | None]:
        """Wait for the end of it and of all it started: (exit status, None), or (128 + n, n) for signal n."""
        from errno import EINTR, ETIME

        status = ffi.new("int *")
        error = new_error()
        # Back to the interpreter now and then: a signal that comes just before a wait begins does not
        # interrupt it, and its handler would not run before the end.
        while (result := lib.pb_wait(self._handle, _SIGNAL_CHECK_MS, status, error)) in (-EINTR, -ETIME):
            pass
        check(result, error)
        if status[0] < _SIGNAL_OFFSET:
            return status[0], None
        signal = status[0] - _SIGNAL_OFFSET
        return 128 + signal, signal

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.pidfd >= 0:
            self.kill()
            self.wait()


def overlay_mount(
    base_fd: int,
    lowers: Sequence[str],
    upper: str | None,
    work: str | None,
    *,
    userxattr: bool = False,
    read_only: bool = False,
    method: str = "newest",
) -> int:
    """Stack directories into a detached mount and return its descriptor, owned by the caller.

    `lowers` are topmost first and, as `upper` and the empty `work`, relative to `base_fd`. Nothing is
    synced to disk at the end of the mount; `work` cannot be used again. `method` "by-name" or "classic" does
    it as older kernels need it. Raises `CoreError`.
    """
    error = new_error()
    flags = (lib.PB_OVERLAY_USERXATTR if userxattr else 0) | (lib.PB_OVERLAY_READONLY if read_only else 0)
    flags |= {"newest": 0, "by-name": lib.PB_OVERLAY_BY_NAME, "classic": lib.PB_OVERLAY_CLASSIC}[method]
    paths = [_text(lower) for lower in lowers]
    upper_path = ffi.NULL if upper is None else _text(upper)
    work_path = ffi.NULL if work is None else _text(work)
    result = lib.pb_overlay_mount(
        base_fd, ffi.new("char *[]", paths), len(paths), upper_path, work_path, flags, error
    )
    return check(result, error)


def enter_userns(uid_map: Sequence[str], gid_map: Sequence[str]) -> None:
    """Make this process, which must have one thread only, root of a new user and mount namespace.

    The maps are triples `inside outside count` as decimal strings, one after another. Raises `CoreError`;
    after one whose operation is not `make user namespace` the process is of no further use.
    """
    error = new_error()
    uids, gids = _Strings(uid_map), _Strings(gid_map)
    check(lib.pb_enter_userns(uids.pointer, gids.pointer, error), error)


@contextmanager
def mount_points(spec: LaunchSpec) -> Iterator[None]:
    """Make the mount points that the rootfs lacks, and remove them again when the process has ended."""
    raw, _keep = _raw_spec(spec)
    handle = ffi.new("pb_stubs **")
    error = new_error()
    check(lib.pb_stubs_make(raw, handle, error), error)
    try:
        yield
    finally:
        result = lib.pb_stubs_remove(handle[0], error)
        lib.pb_stubs_free(handle[0])
    check(result, error)


def launch(spec: LaunchSpec) -> Child:
    """Start the process; it runs when this returns. Its mount points must be there: see `mount_points`.

    Raises `CoreError`; operation `exec` with ENOENT or EACCES means that the command is not there or may
    not be run.
    """
    raw, _keep = _raw_spec(spec)
    child = ffi.new("pb_child *")
    error = new_error()
    check(lib.pb_launch(raw, child, error), error)
    return Child(child)


def _text(value: str) -> Any:
    encoded = os.fsencode(value)
    if b"\0" in encoded:
        raise ValueError("a string for the kernel holds a NUL byte")
    return ffi.new("char[]", encoded)


class _Strings:
    """A NULL-ended array of C strings, alive as long as this object."""

    def __init__(self, values: Sequence[str]) -> None:
        self._texts = [_text(value) for value in values]
        self.pointer = ffi.new("char *[]", [*self._texts, ffi.NULL])


def _raw_mount(mount: LaunchMount, keep: list[Any]) -> dict[str, Any]:
    def text(value: str | None) -> Any:
        if value is None:
            return ffi.NULL
        keep.append(_text(value))
        return keep[-1]

    return {
        "source": text(mount.source),
        "source_fd": mount.source_fd,
        "target": text(mount.target),
        "type": text(mount.type),
        "options": text(mount.options),
        "read_only": mount.read_only,
    }


def _raw_spec(spec: LaunchSpec) -> tuple[Any, list[Any]]:
    """The C struct, and what must live as long as it."""
    keep: list[Any] = [_Strings(spec.argv), _Strings(spec.env), _text(spec.mount_point), _text(spec.cwd)]
    argv, env, mount_point, cwd = keep
    raw = ffi.new("pb_launch_spec *")
    raw.root_fd = spec.root_fd
    raw.mount_point = mount_point
    raw.argv, raw.env, raw.cwd = argv.pointer, env.pointer, cwd
    if spec.hostname is not None:
        keep.append(_text(spec.hostname))
        raw.hostname = keep[-1]
    raw.uid, raw.gid = spec.uid, spec.gid
    keep.append(ffi.new("uint32_t[]", list(spec.groups)))
    raw.groups, raw.group_count = keep[-1], len(spec.groups)
    keep.append(ffi.new("pb_mount[]", [_raw_mount(mount, keep) for mount in spec.mounts]))
    raw.mounts, raw.mount_count = keep[-1], len(spec.mounts)
    raw.capabilities, raw.shm_size = spec.capabilities, spec.shm_size
    keep.append(ffi.new("uint64_t[]", [number for triple in spec.limits for number in triple]))
    raw.limits, raw.limit_count = keep[-1], len(spec.limits)
    raw.stdin_fd, raw.stdout_fd, raw.stderr_fd = spec.stdin, spec.stdout, spec.stderr
    raw.flags = (
        (lib.PB_NEW_NETWORK if spec.new_network else 0)
        | (lib.PB_KEEP_CAPS if spec.keep_capabilities else 0)
        | (lib.PB_TERMINAL if spec.terminal else 0)
    )
    raw.umask_bits = spec.umask
    return raw, keep
