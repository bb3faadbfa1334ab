"""`pybuild logout`: forget the password of a registry."""

from __future__ import annotations

from builder.cli.command import Command
from builder.cli.flags import Arguments
from builder.cli.surroundings import Surroundings


def run(args: Arguments, around: Surroundings) -> int:
    """Remove the credentials; that there are none is no error."""
    from builder.cli.login import registry_host
    from builder.registry.auth import HUB, erase_credentials

    registry = registry_host(args.words[0]) if args.words else HUB
    known = erase_credentials(registry, around.docker_config())
    around.out.write(f"{'Removed the' if known else 'There were no'} credentials for {registry}\n")
    return 0


COMMAND = Command(
    name="logout", usage="[REGISTRY]", flags=(), run=run, text="Without REGISTRY: Docker Hub.", most=1
)
