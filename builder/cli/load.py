"""`pybuild load`: bring the images of an archive into the store."""

from __future__ import annotations

import sys

from builder.cli.command import ISOLATION, QUIET, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.errors import UsageError


def run(args: Arguments, around: Surroundings) -> int:
    """Load an archive from a file or standard input; prints the names, or the ids of images without one."""
    from builder.engine.images import load_images
    from builder.image.reference import parse_reference

    path = args.text("--input") or "-"
    if path == "-" and sys.stdin.isatty():
        raise UsageError(
            "an archive is not read from a terminal", hint="redirect standard input, or give -i FILE"
        )
    try:
        stream = sys.stdin.buffer if path == "-" else open(path, "rb")
    except OSError as error:
        raise UsageError(f'the archive "{path}" cannot be read: {error.strerror}') from None
    with stream, around.open_store(args.text("--store")) as store:
        images = load_images(store, stream, what="standard input" if path == "-" else path)
    for image in images:
        for name in image.names or (str(image.config),):
            shown = name if name.startswith("sha256:") else parse_reference(name).familiar
            around.out.write(f"{shown}\n" if args.switch("--quiet") else f"Loaded image: {shown}\n")
    return 0


COMMAND = Command(
    name="load",
    usage="",
    flags=(
        Flag("--input", "FILE", "File to read; - is standard input (default)", "-i"),
        QUIET,
        ISOLATION,
        STORE,
    ),
    run=run,
    text="Takes OCI and docker archives, compressed or not.",
    examples=(
        ("docker save app | pybuild load", "from Docker"),
        ("pybuild load -i image.tar.gz", "from a file"),
    ),
    isolated=True,
)
