"""`# pybuild: recheck="command"` above a RUN: what the command writes, as a part of the key."""

from __future__ import annotations

from builder.cache.key import Part
from builder.digest import digest_of
from builder.engine.reporter import StepReporter
from builder.engine.session import Session
from builder.errors import CommandError, StepError
from builder.execute.rootfs import StepRoot
from builder.execute.run import Surroundings, run_command
from builder.graph.steps import RunStep
from builder.value import replace

_MOST = 1 << 20
# Longer output is a digest in the key: reasons could not show it anyway.
_SHOWN = 200


def recheck(session: Session, step: RunStep, parent: bytes, reporter: StepReporter) -> Part:
    """Run the command in the files that the step begins with, as the step would run, and give its output as a part.

    It has the step's environment, user, folder and network, but none of its mounts; what it changes is thrown away. Its
    standard output counts, with blanks at its end removed; what it writes to standard error is shown. A status other than
    0 fails the step.
    """
    output = bytearray()

    def take(stream: str, data: bytes) -> None:
        if stream != "stdout":
            reporter.output(stream, data)
            return
        output.extend(data[: _MOST + 1 - len(output)])

    request = session.request
    process = replace(step, argv=step.control.recheck, scripts=(), mounts=(), devices=(), security="sandbox")
    with session.workers, session.store.new_run() as run:
        session.check()
        with StepRoot(session.store, run, parent, process=True) as root:
            try:
                run_command(
                    process,
                    root.fd,
                    run.scratch,
                    env={},
                    mounts=(),
                    surroundings=Surroundings(
                        request.network, request.allow, request.add_hosts, request.shm_size, request.ulimits
                    ),
                    on_output=take,
                    cancelled=session.cancelled,
                )
            except CommandError as error:
                raise CommandError(
                    f"recheck: {error.message}",
                    status=error.status,
                    output=error.output,
                    hint="the command of the comment above the step must end with status 0",
                ) from None
    if len(output) > _MOST:
        raise StepError(
            f"recheck: the command writes more than {_MOST} bytes", hint="write a version or a digest"
        )
    text = bytes(output).rstrip().decode("utf-8", "surrogateescape")
    shown = text if len(text) <= _SHOWN and text.isprintable() else str(digest_of(bytes(output).rstrip()))
    return Part("recheck", step.control.command, shown)
