"""`pybuild rmi`: remove names and images from the store."""

from __future__ import annotations

from builder.cli.command import STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.errors import ImageError


def run(args: Arguments, around: Surroundings) -> int:
    """Remove each; what is not there is an error, but the others are removed all the same."""
    from builder.image.reference import parse_reference

    missing: ImageError | None = None
    with around.open_store(args.text("--store")) as store:
        for name in args.words:
            try:
                removed = store.images.remove(name)
            except ImageError as error:
                missing = missing or error
                continue
            for gone in removed:
                is_image = gone.startswith("sha256:")
                shown = f"removed image {gone}" if is_image else f"untagged {parse_reference(gone).familiar}"
                around.out.write(f"{shown}\n")
    if missing is not None and not args.switch("--force"):
        raise missing
    return 0


COMMAND = Command(
    name="rmi",
    usage="IMAGE…",
    flags=(Flag("--force", "", "What is not there is no error", "-f"), STORE),
    run=run,
    text="IMAGE is a name, or the beginning of an id. An image goes with its last name; what its steps left in the cache stays.",
    fewest=1,
    most=None,
)
