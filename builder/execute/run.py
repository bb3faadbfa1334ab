"""RUN: one process in a sandbox on a step's root file system."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from builder.errors import Cancelled, CommandError
from builder.execute.consent import refusal, wish_of
from builder.execute.tail import Tail
from builder.graph.steps import RunStep
from builder.sandbox.process import HOSTNAME, Limit, Mount, Process
from builder.sandbox.run import run_process
from builder.value import dataclass

# How much of a failed command's output an error repeats.
_TAIL = 16 * 1024


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the build as a whole gives to every process."""

    network: str = "default"
    allow: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int | None = None
    limits: tuple[tuple[str, int, int], ...] = ()


_DEFAULT_SHM = 64 << 20


def run_command(
    step: RunStep,
    root_fd: int,
    scratch: str,
    *,
    env: Mapping[str, str],
    mounts: Sequence[Mount],
    surroundings: Surroundings,
    on_output: Callable[[str, bytes], None],
    cancelled: threading.Event,
    secrets: Collection[bytes] = (),
) -> None:
    """Run the step's command to its end; a status other than 0 is a `CommandError` with its last output, in which `secrets` are
    masked.

    `scratch` is a private directory of the host for what the sandbox needs; `env` adds variables that nothing
    keeps; `on_output` gets `stdout` or `stderr` and bytes as they come.
    """
    for refused in refusal(wish_of(step), surroundings.network, surroundings.allow):
        raise refused
    tail = Tail(_TAIL, secrets)

    def output(stream: str, data: bytes) -> None:
        tail.add(data)
        on_output(stream, data)

    process = Process(
        argv=step.argv,
        env=(*step.env, *step.hidden_env, *env.items()),
        cwd=step.cwd,
        user=step.user,
        network=step.network,
        security=step.security,
        hostname=step.hostname or HOSTNAME,
        mounts=tuple(mounts),
        extra_hosts=surroundings.extra_hosts,
        limits=tuple(Limit(*limit) for limit in surroundings.limits),
        shm_size=_DEFAULT_SHM if surroundings.shm_size is None else surroundings.shm_size,
    )
    result = run_process(process, root_fd, scratch=scratch, on_output=output, cancelled=cancelled)
    if cancelled.is_set():
        raise Cancelled("the build was stopped")
    if result.signal is None and result.status == 0:
        return
    how = f"exit code: {result.status}" if result.signal is None else f"killed by signal {result.signal}"
    raise CommandError(
        f'process "{" ".join(step.argv)}" did not complete successfully: {how}',
        status=result.status if result.signal is None else 128 + result.signal,
        output=tail.text(),
    )
