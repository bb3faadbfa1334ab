"""`pybuild tag`: another name for an image."""

from __future__ import annotations

from builder.cli.options import Parser, add_store
from builder.cli.stores import opened
from builder.engine.images import require_image


def run(arguments: list[str]) -> int:
    """Give an image another name."""
    parser = Parser("tag", "Give an image another name.")
    parser.add_argument("image", metavar="IMAGE", help="a name or the beginning of an id")
    parser.add_argument("name", metavar="NAME[:TAG]", help="the new name")
    add_store(parser)
    options = parser.parse_args(arguments)
    with opened(options) as store:
        store.images.tag(require_image(store, options.image), options.name)
    return 0
