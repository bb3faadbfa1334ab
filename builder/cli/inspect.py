"""`pybuild inspect`: all about images, as JSON."""

from __future__ import annotations

import json

from builder.cli.command import STORE, Command
from builder.cli.flags import Arguments
from builder.cli.surroundings import Surroundings


def run(args: Arguments, around: Surroundings) -> int:
    """Print an array with an object for each image."""
    from builder.engine.images import inspect_image

    with around.open_store(args.text("--store")) as store:
        found = [inspect_image(store, name) for name in args.words]
    around.out.write(json.dumps(found, indent=2, ensure_ascii=not _speaks_unicode(around)) + "\n")
    return 0


def _speaks_unicode(around: Surroundings) -> bool:
    return (around.out.encoding or "").lower().replace("-", "") == "utf8"


COMMAND = Command(
    name="inspect",
    usage="IMAGE…",
    flags=(STORE,),
    run=run,
    text="IMAGE is a name, or the beginning of an id or digest.",
    examples=(
        ("pybuild inspect example/app | jq -r '.[0].Layers[].digest'", "the digests of an image's layers"),
    ),
    fewest=1,
    most=None,
)
