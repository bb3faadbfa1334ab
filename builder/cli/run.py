"""`pybuild run`: a container in the foreground, on a throw-away writable layer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from builder.cli import interruption, values
from builder.cli.command import ISOLATION, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.message import error_text
from builder.cli.surroundings import Surroundings
from builder.cli.transfer import Transfer
from builder.errors import CommandError, UsageError

if TYPE_CHECKING:
    from builder.store.images import StoredImage
    from builder.store.store import Store

_PULL = ("missing", "always", "never")
_NETWORKS = ("default", "none", "host")


def run(args: Arguments, around: Surroundings) -> int:
    """Run the container; the status is that of its command."""
    from builder.container.run import RunOptions, run_container
    from builder.image.config import parse_document

    network = values.choice("--network", args.text("--network") or "default", _NETWORKS)
    pull = values.choice("--pull", args.text("--pull") or "missing", _PULL)
    if args.switch("--tty") and not (sys.stdin.isatty() or around.out.isatty()):
        raise UsageError("there is no terminal for --tty", hint="leave -t out")
    options = RunOptions(
        command=args.words[1:],
        entrypoint=args.text("--entrypoint"),
        env=tuple(_environment(args, around).items()),
        user=args.text("--user"),
        working_dir=args.text("--workdir"),
        network=network,
        hostname=args.text("--hostname"),
        add_hosts=values.hosts(args.texts("--add-host")),
        interactive=args.switch("--interactive"),
        terminal=args.switch("--tty"),
    )
    with around.open_store(args.text("--store")) as store:
        image = _image(args, around, store, pull)
        config = parse_document(store.read_blob(image.config)).config
        try:
            return run_container(store, image, config, options)
        except CommandError as error:  # it could not be started: 126 or 127, as in a shell
            around.err.write(error_text(error))
            return error.status


def _environment(args: Arguments, around: Surroundings) -> dict[str, str]:
    """The variables of `--env-file` and then of `--env`, which win."""
    texts: list[str] = []
    for path in args.texts("--env-file"):
        try:
            with open(path, encoding="utf-8") as stream:
                lines = [line.rstrip("\r\n") for line in stream]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise UsageError(f'--env-file: "{path}" cannot be read: {reason}') from None
        texts += [line.lstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return values.from_environment("--env", [*texts, *args.texts("--env")], around.env)


def _image(args: Arguments, around: Surroundings, store: Store, pull: str) -> StoredImage:
    from builder.engine.images import pull_image, require_image
    from builder.image.platform import parse_platform

    name = args.words[0]
    chosen = args.text("--platform") or around.setting("DOCKER_DEFAULT_PLATFORM")
    platform = parse_platform(chosen) if chosen and chosen != "local" else None
    found = None if pull == "always" else store.find_image(name, platform)
    if found is not None:
        return found
    if pull == "never":
        return require_image(store, name)
    with interruption.stoppable() as cancelled:
        return pull_image(
            store,
            name,
            platform=platform,
            docker_config=around.docker_config(),
            auth_config=around.setting("DOCKER_AUTH_CONFIG"),
            on_progress=Transfer(around, quiet=False).progress,
            cancelled=cancelled,
        )


COMMAND = Command(
    name="run",
    usage="IMAGE [COMMAND [WORD…]]",
    flags=(
        Flag("--interactive", "", "Give the container standard input", "-i"),
        Flag("--tty", "", "Give the container a terminal", "-t"),
        Flag("--env", "NAME[=VALUE]", "Variable; without =VALUE that of the environment", "-e", many=True),
        Flag("--env-file", "FILE", "Read variables from a file, one a line", many=True),
        Flag(
            "--entrypoint", "PROGRAM", "In place of the image's ENTRYPOINT and CMD; an empty one means none"
        ),
        Flag("--user", "NAME|ID[:GROUP]", "User to run as", "-u"),
        Flag("--workdir", "FOLDER", "Folder to run in", "-w"),
        Flag("--hostname", "NAME", "Name of the machine", "-h"),
        Flag("--network", "MODE", "default and host are this machine's network, none is an empty one"),
        Flag("--add-host", "NAME:ADDRESS", "Line for /etc/hosts", many=True),
        Flag("--pull", "WHEN", "missing (default), always or never"),
        Flag("--platform", "OS/ARCH", "Platform of the image"),
        Flag("--rm"),
        ISOLATION,
        STORE,
    ),
    run=run,
    text="What the container writes goes with it; the image does not change. COMMAND takes the place of CMD.\n"
    "The exit status is the command's, or 128 and the number of the signal that ended it; 126 if it cannot be started, "
    "127 if it is not there.",
    examples=(
        ("pybuild run example/app", "what the image is for"),
        ("pybuild run -it example/app sh", "look around in it"),
    ),
    fewest=1,
    most=None,
    isolated=True,
    stop_at_word=True,
)
