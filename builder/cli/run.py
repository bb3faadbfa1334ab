"""`pybuild run`: a command in a container made from an image, in the foreground."""

from __future__ import annotations

import argparse
import os
import sys

from builder.cli.options import Parser, add_store, docker_config
from builder.cli.stores import opened
from builder.errors import UsageError


def run(arguments: list[str]) -> int:
    """Run a container to its end; its status is ours."""
    parser = Parser(
        "run",
        "Run a command in a container made from an image. What it writes goes with it; the image does not change.",
        "Exit status: the command's; 126 it cannot be started, 127 it is not there, 128+N it was killed by signal N.",
    )
    add = parser.add_argument
    add("image", metavar="IMAGE", help="a name or the beginning of an id; pulled if the store has none")
    add("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="takes the place of the image's CMD")
    add(
        "-e",
        "--env",
        metavar="NAME[=VALUE]",
        action="append",
        default=[],
        help="a variable of the environment",
    )
    add("-u", "--user", metavar="USER[:GROUP]")
    add("-w", "--workdir", metavar="DIR")
    add("--entrypoint", metavar="PROGRAM", help="takes the place of the image's ENTRYPOINT; empty: none")
    add("--network", choices=["default", "none", "host"], default="default")
    add("-h", "--hostname", metavar="NAME")
    add("-i", "--interactive", action="store_true", help="pass standard input on")
    add("-t", "--tty", action="store_true", help="give it a terminal")
    add("--rm", action="store_true", help="nothing: containers never stay")
    add("--pull", choices=["missing", "never", "always"], default="missing")
    add_store(parser)
    options = parser.parse_args(arguments)
    from builder.container.run import RunOptions, run_container
    from builder.engine.images import pull_image
    from builder.image.config import parse_config

    settings = RunOptions(
        command=tuple(options.command),
        entrypoint=options.entrypoint,
        env=tuple(_variable(text) for text in options.env if "=" in text or text in os.environ),
        user=options.user,
        working_dir=options.workdir,
        network=options.network,
        hostname=options.hostname,
        interactive=options.interactive,
        terminal=options.tty,
    )
    with opened(options, as_root=True) as store:
        image = None if options.pull == "always" else store.find_image(options.image)
        if image is None:
            if options.pull == "never":
                raise UsageError(f'the store has no image "{options.image}"')
            print(f"pulling {options.image}", file=sys.stderr)
            image = pull_image(store, options.image, docker_config=docker_config())
        return run_container(store, image, parse_config(store.read_blob(image.config)), settings)


def _variable(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    return name, value if mark else os.environ[name]
