"""`pybuild images`: what the store has."""

from __future__ import annotations

import time

from builder.cli.options import Parser, add_store
from builder.cli.stores import ago, opened, print_table
from builder.image.reference import parse_reference
from builder.report.text import human


def run(arguments: list[str]) -> int:
    """List images, the newest first."""
    parser = Parser("images", "List the images of the store.")
    parser.add_argument("-q", "--quiet", action="store_true", help="print ids only")
    parser.add_argument("--no-trunc", action="store_true", help="print ids in full")
    add_store(parser)
    options = parser.parse_args(arguments)
    with opened(options) as store:
        images = store.images.all()
    rows = [("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")]
    for image in images:
        identity = str(image.config) if options.no_trunc else image.config.short
        if options.quiet:
            print(identity)
            continue
        created = ago(max(0.0, time.time() - image.created))
        for name in image.names or ("",):
            reference = parse_reference(name) if name else None
            repository = reference.familiar.partition("@")[0] if reference else "<none>"
            tag = (reference.tag if reference else None) or "<none>"
            repository = repository.removesuffix(f":{tag}")
            rows.append((repository, tag, identity, created, human(image.size)))
    if not options.quiet:
        print_table(rows)
    return 0
