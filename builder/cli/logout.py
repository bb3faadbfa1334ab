"""`pybuild logout`: forget the credentials for a registry."""

from __future__ import annotations

from builder.cli.options import Parser, docker_config
from builder.image.reference import DEFAULT_REGISTRY
from builder.registry.auth import erase_credentials


def run(arguments: list[str]) -> int:
    """Forget credentials."""
    parser = Parser("logout", "Remove the credentials for a registry.")
    parser.add_argument("registry", metavar="REGISTRY", nargs="?", default=DEFAULT_REGISTRY)
    options = parser.parse_args(arguments)
    gone = erase_credentials(options.registry, docker_config())
    print(
        f"Removed the credentials for {options.registry}" if gone else f"Not logged in to {options.registry}"
    )
    return 0
