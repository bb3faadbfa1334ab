"""`pybuild inspect`: an image as JSON."""

from __future__ import annotations

import json

from builder.cli.options import Parser, add_store
from builder.cli.stores import opened
from builder.engine.images import inspect_image


def run(arguments: list[str]) -> int:
    """Show images as a JSON array."""
    parser = Parser("inspect", "Show an image's names, digests, config and layers as JSON.")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a name or the beginning of an id")
    add_store(parser)
    options = parser.parse_args(arguments)
    with opened(options) as store:
        found = [inspect_image(store, name) for name in options.images]
    print(json.dumps(found, indent=2))
    return 0
