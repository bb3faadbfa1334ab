"""`pybuild tag`: one more name for an image."""

from __future__ import annotations

from builder.cli.command import STORE, Command
from builder.cli.flags import Arguments
from builder.cli.surroundings import Surroundings


def run(args: Arguments, around: Surroundings) -> int:
    """Give the image of the first word the names that follow."""
    from builder.engine.images import require_image
    from builder.image.reference import parse_name

    source, *names = args.words
    for name in names:  # none is given if one is wrong
        parse_name(name)
    with around.open_store(args.text("--store")) as store:
        image = require_image(store, source)
        for name in names:
            store.images.tag(image, name)
    return 0


COMMAND = Command(
    name="tag",
    usage="IMAGE NAME[:TAG]…",
    flags=(STORE,),
    run=run,
    text="An image that had the name before keeps its other names and its id.",
    examples=(("pybuild tag example/app registry.example/app:1", "a name to push by"),),
    fewest=2,
    most=None,
)
