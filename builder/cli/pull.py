"""`pybuild pull`: fetch images from their registries."""

from __future__ import annotations

from builder.cli import interruption
from builder.cli.command import ISOLATION, QUIET, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.cli.transfer import Transfer


def run(args: Arguments, around: Surroundings) -> int:
    """Fetch each image; prints its name by digest, so that a script can pin it."""
    from builder.engine.images import pull_image
    from builder.image.platform import parse_platform
    from builder.image.reference import Reference, parse_reference

    chosen = args.text("--platform") or around.setting("DOCKER_DEFAULT_PLATFORM")
    platform = parse_platform(chosen) if chosen and chosen != "local" else None
    references = [parse_reference(name) for name in args.words]
    with around.open_store(args.text("--store")) as store, interruption.stoppable() as cancelled:
        for reference in references:
            image = pull_image(
                store,
                str(reference),
                platform=platform,
                docker_config=around.docker_config(),
                auth_config=around.setting("DOCKER_AUTH_CONFIG"),
                on_progress=Transfer(around, quiet=args.switch("--quiet")).progress,
                cancelled=cancelled,
            )
            pinned = Reference(reference.registry, reference.repository, None, image.manifest)
            around.out.write(f"{pinned.familiar}\n")
    return 0


COMMAND = Command(
    name="pull",
    usage="NAME[:TAG|@DIGEST]…",
    flags=(
        Flag(
            "--platform",
            "OS/ARCH",
            "Platform to fetch the image for (default: DOCKER_DEFAULT_PLATFORM, or this machine's)",
        ),
        QUIET,
        ISOLATION,
        STORE,
    ),
    run=run,
    text="Layers that the store has are not fetched.",
    fewest=1,
    most=None,
    isolated=True,
)
