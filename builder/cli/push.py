"""`pybuild push`: an image to a registry."""

from __future__ import annotations

import os

from builder.cli.options import Parser, add_store, docker_config
from builder.cli.stores import opened
from builder.cli.transfer import Transfer
from builder.engine.images import push_image, require_image
from builder.report.text import human


def run(arguments: list[str]) -> int:
    """Send an image; only the blobs that the registry lacks."""
    parser = Parser("push", "Send an image to the registry that its name says; only what it lacks is sent.")
    parser.add_argument("image", metavar="NAME[:TAG]", help="a name that the image has")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the digest only")
    add_store(parser)
    options = parser.parse_args(arguments)
    with opened(options) as store:
        result = push_image(
            store,
            require_image(store, options.image),
            options.image,
            docker_config=docker_config(),
            auth_config=os.environ.get("DOCKER_AUTH_CONFIG"),
            on_progress=Transfer(quiet=options.quiet),
        )
    if options.quiet:
        print(result.digest)
    else:
        print(
            f"{options.image}: {result.digest}: {len(result.uploaded)} blobs sent ({human(result.uploaded_bytes)}), "
            f"{len(result.mounted)} mounted, {len(result.existing)} already there"
        )
    return 0
