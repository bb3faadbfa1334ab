"""`pybuild rmi`: take a name, or an image, out of the store."""

from __future__ import annotations

from builder.cli.options import Parser, add_store
from builder.cli.stores import opened
from builder.image.reference import parse_reference


def run(arguments: list[str]) -> int:
    """Take names away; by id the image with all its names."""
    parser = Parser("rmi", "Take an image's name away; by id the image with all its names.")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a name or the beginning of an id")
    add_store(parser)
    options = parser.parse_args(arguments)
    with opened(options) as store:
        for text in options.images:
            for gone in store.images.remove(text):
                if gone.startswith("sha256:"):
                    print(f"Deleted: {gone}")
                else:
                    print(f"Untagged: {parse_reference(gone).familiar}")
    return 0
