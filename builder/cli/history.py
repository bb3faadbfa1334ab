"""`pybuild history`: what an image was made by."""

from __future__ import annotations

from builder.cli.options import Parser, add_store
from builder.cli.stores import opened, print_table
from builder.engine.images import image_history
from builder.report.text import clean, human

_LONGEST = 60


def run(arguments: list[str]) -> int:
    """List the lines of an image's history, the newest first."""
    parser = Parser("history", "Show what an image was made by, the newest line first.")
    parser.add_argument("image", metavar="IMAGE", help="a name or the beginning of an id")
    parser.add_argument("--no-trunc", action="store_true", help="do not shorten commands")
    add_store(parser)
    options = parser.parse_args(arguments)
    with opened(options) as store:
        lines = image_history(store, options.image)
    rows = [("CREATED", "SIZE", "CREATED BY")]
    for line in lines:
        command = clean(" ".join(str(line["created_by"]).split()))
        if not options.no_trunc and len(command) > _LONGEST:
            command = command[: _LONGEST - 1] + "…"
        rows.append((str(line["created"]), human(line["size"]), command))
    print_table(rows)
    return 0
