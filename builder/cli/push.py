"""`pybuild push`: send images to their registries."""

from __future__ import annotations

from builder.cli import interruption
from builder.cli.command import QUIET, STORE, Command
from builder.cli.flags import Arguments
from builder.cli.surroundings import Surroundings
from builder.cli.transfer import Transfer


def run(args: Arguments, around: Surroundings) -> int:
    """Send each image by its name; prints the name by digest, which is what others can pin."""
    from builder.engine.images import push_image, require_image
    from builder.image.reference import Reference, parse_reference

    references = [parse_reference(name) for name in args.words]
    with around.open_store(args.text("--store")) as store, interruption.stoppable() as cancelled:
        images = [require_image(store, str(reference)) for reference in references]
        for reference, image in zip(references, images, strict=True):
            push_image(
                store,
                image,
                str(reference),
                docker_config=around.docker_config(),
                auth_config=around.setting("DOCKER_AUTH_CONFIG"),
                on_progress=Transfer(around, quiet=args.switch("--quiet")).progress,
                cancelled=cancelled,
            )
            pinned = Reference(reference.registry, reference.repository, None, image.manifest)
            around.out.write(f"{pinned.familiar}\n")
    return 0


COMMAND = Command(
    name="push",
    usage="NAME[:TAG]…",
    flags=(QUIET, STORE),
    run=run,
    text="Blobs that the registry has are not sent.",
    examples=(
        (
            "pybuild tag app registry.example/app:1 && pybuild push registry.example/app:1",
            "under another name",
        ),
    ),
    fewest=1,
    most=None,
)
