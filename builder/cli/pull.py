"""`pybuild pull`: an image from its registry."""

from __future__ import annotations

import os

from builder.cli.options import Parser, add_store, docker_config
from builder.cli.stores import opened
from builder.cli.transfer import Transfer
from builder.engine.images import pull_image
from builder.image.platform import parse_platform


def run(arguments: list[str]) -> int:
    """Fetch an image; layers that the store has are not fetched."""
    parser = Parser("pull", "Fetch an image from its registry; layers that the store has are not fetched.")
    parser.add_argument(
        "image", metavar="NAME[:TAG][@DIGEST]", help="short names mean Docker Hub, as in Docker"
    )
    parser.add_argument("--platform", metavar="OS/ARCH", help="default: this machine's")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the image's id only")
    add_store(parser)
    options = parser.parse_args(arguments)
    with opened(options, as_root=True) as store:
        image = pull_image(
            store,
            options.image,
            platform=parse_platform(options.platform) if options.platform else None,
            docker_config=docker_config(),
            auth_config=os.environ.get("DOCKER_AUTH_CONFIG"),
            on_progress=Transfer(quiet=options.quiet),
        )
    print(image.config if options.quiet else f"{options.image}: {image.manifest}")
    return 0
