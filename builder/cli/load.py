"""`pybuild load`: images from an archive."""

from __future__ import annotations

import sys

from builder.cli.options import Parser, add_store
from builder.cli.stores import opened
from builder.engine.images import load_images
from builder.errors import UsageError
from builder.image.reference import parse_reference


def run(arguments: list[str]) -> int:
    """Read images from a file or standard input."""
    parser = Parser("load", "Read images from an archive, compressed or not.")
    parser.add_argument("-i", "--input", metavar="FILE", default="-", help="default: standard input")
    parser.add_argument("-q", "--quiet", action="store_true", help="print ids only")
    add_store(parser)
    options = parser.parse_args(arguments)
    if options.input == "-" and sys.stdin.isatty():
        raise UsageError("there is no archive on standard input", hint="give -i FILE")
    with opened(options, as_root=True) as store:
        if options.input == "-":
            images = load_images(store, sys.stdin.buffer, what="standard input")
        else:
            try:
                stream = open(options.input, "rb")
            except OSError as error:
                raise UsageError(f'"{options.input}" cannot be read: {error.strerror}') from None
            with stream:
                images = load_images(store, stream, what=f'"{options.input}"')
    for image in images:
        names = [parse_reference(name).familiar for name in image.names]
        if options.quiet or not names:
            print(image.config if options.quiet else f"Loaded image ID: {image.config}")
        else:
            for name in names:
                print(f"Loaded image: {name}")
    return 0
