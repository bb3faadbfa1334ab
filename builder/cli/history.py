"""`pybuild history`: which instructions an image was made by."""

from __future__ import annotations

import json
import time

from builder.cli import values
from builder.cli.command import JSON, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.cli.table import moment, since, table
from builder.report.text import human

_LONGEST = 72


def run(args: Arguments, around: Surroundings) -> int:
    """Print a line for each instruction, the last one first."""
    from builder.engine.images import image_history

    with around.open_store(args.text("--store")) as store:
        entries = image_history(store, args.words[0])
    if values.wants_json(args):
        around.out.write(json.dumps(entries, indent=2) + "\n")
        return 0
    now = time.time()
    rows = [("CREATED", "SIZE", "CREATED BY")]
    for entry in entries:
        text = " ".join(str(entry["created_by"]).split())
        if len(text) > _LONGEST and not args.switch("--no-trunc"):
            text = f"{text[: _LONGEST - 1]}…"
        then = moment(str(entry["created"]))
        rows.append((since(then, now) if then is not None else "", human(entry["size"]), text))
    around.out.write(table(rows, right=frozenset({1})))
    return 0


COMMAND = Command(
    name="history",
    usage="IMAGE",
    flags=(Flag("--no-trunc", "", "Show instructions in full"), *JSON, STORE),
    run=run,
    fewest=1,
    most=1,
)
