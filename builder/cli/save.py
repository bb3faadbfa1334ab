"""`pybuild save`: write images to an archive."""

from __future__ import annotations

import sys

from builder.cli import values
from builder.cli.command import STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.errors import UsageError

_FORMS = {"docker": "docker", "oci": "oci", "docker-archive": "docker", "oci-archive": "oci"}


def run(args: Arguments, around: Surroundings) -> int:
    """Write the archive to a file or to standard output."""
    form = _FORMS[values.choice("--format", args.text("--format") or "docker", tuple(_FORMS))]
    dest = args.text("--output") or "-"
    if dest == "-" and around.out.isatty():
        raise UsageError(
            "an archive is not written to a terminal", hint="redirect standard output, or give -o FILE"
        )
    from builder.engine.images import require_image, save_images
    from builder.output.destination import open_destination

    with around.open_store(args.text("--store")) as store:
        for name in args.words:  # before the file is begun
            require_image(store, name)
        with open_destination(dest, sys.stdout.buffer) as stream:
            save_images(store, args.words, stream, form=form)
    return 0


COMMAND = Command(
    name="save",
    usage="IMAGE…",
    flags=(
        Flag("--output", "FILE", "File to write; - is standard output (default)", "-o"),
        Flag("--format", "FORM", "docker (default) or oci"),
        STORE,
    ),
    run=run,
    text="Every archive is an OCI layout; docker has what older versions of docker load need beside it.",
    examples=(("pybuild save example/app | ssh server podman load", "to another machine"),),
    fewest=1,
    most=None,
)
