"""`pybuild save`: images to an archive."""

from __future__ import annotations

import sys

from builder.cli.options import Parser, add_store
from builder.cli.stores import opened
from builder.engine.images import save_images
from builder.errors import UsageError
from builder.output.destination import open_destination


def run(arguments: list[str]) -> int:
    """Write images to a file or standard output."""
    parser = Parser("save", "Write images to an archive that docker, podman and skopeo read.")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a name or the beginning of an id")
    parser.add_argument("-o", "--output", metavar="FILE", default="-", help="default: standard output")
    parser.add_argument(
        "--format", choices=["docker", "oci"], default="docker", help="docker carries both forms"
    )
    add_store(parser)
    options = parser.parse_args(arguments)
    if options.output == "-" and sys.stdout.isatty():
        raise UsageError(
            "an archive is not written to a terminal", hint="redirect the output, or give -o FILE"
        )
    with opened(options) as store, open_destination(options.output, sys.stdout.buffer) as stream:
        save_images(store, options.images, stream, form=options.format)
    return 0
