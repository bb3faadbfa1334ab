"""What a process is to see and may do: plain values, nothing of images or caching."""

from __future__ import annotations

from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

__all__ = ["HOSTNAME", "Limit", "Mount", "Network", "Process", "Result", "Security"]

Network = str  # "default", "none" or "host"
Security = str  # "sandbox" or "insecure"
HOSTNAME = "buildkitsandbox"


@dataclass(frozen=True, slots=True)
class Mount:
    """Something mounted at `target` (absolute; links in it resolve inside the rootfs).

    A bind has either `source`, a path of the host whose links are followed (so never one that build files
    choose), or `source_fd`, a descriptor: a directory, a file or a detached mount. A tmpfs has a `size` in
    bytes and a `mode`, both optional. No mount lets device nodes be used.
    """

    target: str
    kind: Literal["bind", "tmpfs"] = "bind"
    source: str | None = None
    source_fd: int | None = None
    read_only: bool = False
    size: int | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A resource limit by the name that `--ulimit` uses (`nofile`, `core` ...); -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Process:
    """One command to run in a rootfs.

    `user` is the text of USER ("" is root). `env` holds pairs; HOME is added from the rootfs's passwd if it
    is missing. `network` "default" and "host" share the host's, "none" is an empty one. `security`
    "insecure" keeps all capabilities. `extra_hosts` holds (name, address). `stdin` is a descriptor or None
    for an empty one. `terminal` and `interactive` count for `run_foreground` only. Sizes are bytes.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    user: str = ""
    hostname: str = HOSTNAME
    network: Network = "default"
    security: Security = "sandbox"
    mounts: tuple[Mount, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    limits: tuple[Limit, ...] = ()
    shm_size: int = 64 << 20
    stdin: int | None = None
    terminal: bool = False
    interactive: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """How a process ended: `status` is its exit status, or 128 + `signal`; `seconds` is wall time."""

    status: int
    signal: int | None
    seconds: float
