"""`pybuild doctor`: whether this machine can build, and whether the store is sound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from builder.cli import values
from builder.cli.command import ISOLATION, JSON, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.report.harmless import harmless

if TYPE_CHECKING:
    from builder.engine.doctor import Finding


def run(args: Arguments, around: Surroundings) -> int:
    """Print what was found; 1 if something is wrong that was not put right."""
    import builder

    found = builder.doctor(
        store=around.store_path(args.text("--store")),
        mend=args.switch("--mend"),
        userxattr=around.in_user_namespace(),
    )
    if values.wants_json(args):
        rows = [{"state": one.state, "about": one.about, "text": one.text, "hint": one.hint} for one in found]
        around.out.write(json.dumps(rows, indent=2) + "\n")
    else:
        around.out.write("".join(_lines(one) for one in found))
    return 1 if any(one.state == "problem" for one in found) else 0


def _lines(found: Finding) -> str:
    hint = f"{'':9}hint: {harmless(found.hint)}\n" if found.hint else ""
    return f"{found.state:<8} {found.about}: {harmless(found.text)}\n{hint}"


COMMAND = Command(
    name="doctor",
    usage="",
    flags=(
        Flag("--mend", "", "Put right what can be"),
        *JSON,
        ISOLATION,
        STORE,
    ),
    run=run,
    text="Looks at the machine (isolation, overlay, git, room) and reads the whole store: its database, every blob, the files of "
    "images and steps. --mend drops blobs that are damaged and makes those of images anew, removes what nothing names, and sets "
    "a damaged database aside: the images come back from the store's layout, the cache begins anew.",
    examples=(
        ("pybuild doctor", "say what is wrong, and change nothing"),
        ("pybuild doctor --mend", "and put it right"),
    ),
    isolated=True,
    works=lambda args: args.switch("--mend"),
)
