"""`pybuild run`: one container in the foreground, on a throw-away writable layer."""

from __future__ import annotations

from collections.abc import Sequence

from builder.errors import ImageError, UsageError
from builder.image.config import ImageConfig
from builder.sandbox.process import Process
from builder.sandbox.run import run_foreground
from builder.store.grounds import mount_run
from builder.store.images import StoredImage
from builder.store.store import Store
from builder.value import dataclass

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the caller changes of the image's config.

    `command` takes the place of CMD; `entrypoint` that of ENTRYPOINT, and then CMD is not used either; an empty text
    means no entrypoint.
    """

    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    working_dir: str | None = None
    network: str = "default"
    hostname: str | None = None
    add_hosts: tuple[tuple[str, str], ...] = ()
    interactive: bool = False
    terminal: bool = False


def container_argv(config: ImageConfig, options: RunOptions) -> tuple[str, ...]:
    """ENTRYPOINT and CMD with the caller's changes, as `docker run` puts them together."""
    if options.entrypoint is not None:
        start: Sequence[str] = (options.entrypoint,) if options.entrypoint else ()
        rest: Sequence[str] = options.command
    else:
        start = config.entrypoint or ()
        rest = options.command or (config.cmd or ())
    argv = (*start, *rest)
    if not argv:
        raise UsageError("the image has no command to run", hint="give one: pybuild run IMAGE COMMAND…")
    return argv


def run_container(store: Store, image: StoredImage, config: ImageConfig, options: RunOptions) -> int:
    """Run a container to its end, with the caller's standard input, output and error.

    Gives back what a shell would: the command's status, or 128 and the signal's number. The image does not change:
    what the container writes goes with it.
    """
    env = dict(config.env)
    env.setdefault("PATH", DEFAULT_PATH)
    env.update(options.env)
    process = Process(
        argv=container_argv(config, options),
        env=tuple(env.items()),
        cwd=options.working_dir or config.working_dir or "/",
        user=config.user if options.user is None else options.user,
        hostname=options.hostname or image.config.hex[:12],
        network=options.network,
        extra_hosts=options.add_hosts,
        terminal=options.terminal,
        interactive=options.interactive,
    )
    if not store.use_image(image):
        raise ImageError("files of the image are missing from the store", hint="pull or build it again")
    lowers = store.lowers(image.state)
    with store.new_run() as run:
        store.holds.leave()  # a container may run for weeks
        root = mount_run(store, run, lowers)
        result = run_foreground(process, root, scratch=run.scratch)
    return result.status if result.signal is None else 128 + result.signal
