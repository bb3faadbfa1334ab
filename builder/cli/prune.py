"""`pybuild prune`: give room back."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from builder.cli import values
from builder.cli.command import ISOLATION, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.errors import UsageError
from builder.report.text import counted, human

if TYPE_CHECKING:
    from builder.store.prune import Pruned

_FORMATS = ("table", "json")
_ONE = {
    "image": "image",
    "layer": "pulled layer",
    "step": "step",
    "cache": "cache mount",
    "download": "download",
    "index": "context index",
    "syntax": "parsed file",
}
_SPACES = ("--max-used-space", "--reserved-space", "--min-free-space", "--keep-storage")


def run(args: Arguments, around: Surroundings) -> int:
    """Ask where somebody can be asked, prune, and tell what went."""
    import builder
    from builder.cli.du import item_document, item_table
    from builder.store.filters import parse_filters

    form = values.choice("--format", args.text("--format") or "table", _FORMATS)
    sizes = {name: values.size(name, args.text(name)) or 0 for name in _SPACES}
    parse_filters(args.texts("--filter"))  # before anybody is asked
    dry = args.switch("--dry-run")
    if args.text("--set-limit") is not None:
        return _set_limit(args, around)
    if not (dry or args.switch("--force") or _agreed(args, around)):
        around.err.write("nothing was removed\n")
        return 0
    done = builder.prune(
        filters=args.texts("--filter"),
        all=args.switch("--all"),
        max_used_space=sizes["--max-used-space"],
        reserved_space=sizes["--reserved-space"] or sizes["--keep-storage"],
        min_free_space=sizes["--min-free-space"],
        dry_run=dry,
        store=around.store_path(args.text("--store")),
        userxattr=around.in_user_namespace(),
    )
    if form == "json":
        result = {
            "version": 1,
            "dry_run": dry,
            "freed": done.freed,
            "total": done.total,
            "busy": done.busy,
            "records": done.records,
            "items": [item_document(item) for item in done.items],
        }
        around.out.write(json.dumps(result, indent=2) + "\n")
        return 0
    if done.items and (dry or args.switch("--verbose")):
        import time

        around.out.write(item_table(done.items, time.time(), whole=args.switch("--verbose")) + "\n")
    around.out.write(_told(done, dry=dry))
    return 0


def _set_limit(args: Arguments, around: Surroundings) -> int:
    import builder

    if others := [name for name in args.given() if name not in ("--set-limit", "--store", "--isolation")]:
        raise UsageError(f"--set-limit removes nothing and does not go with {others[0]}")
    limit = values.size("--set-limit", args.text("--set-limit")) or 0
    builder.store_limit(limit, store=around.store_path(args.text("--store")))
    around.out.write(f"builds keep the store below {human(limit)}\n" if limit else "the store has no limit\n")
    return 0


def _agreed(args: Arguments, around: Surroundings) -> bool:
    """Whether the user wants it; where nobody can be asked, the command line is word enough."""
    if not (sys.stdin.isatty() and around.err.isatty()):
        return True
    what = "all that no image with a name needs"
    if args.texts("--filter"):
        what = f"what no image with a name needs, of {', '.join(args.texts('--filter'))}"
    around.err.write(f"This removes {what} from {around.store_path(args.text('--store'))}.\nGo on? [y/N] ")
    around.err.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _told(done: Pruned, *, dry: bool) -> str:
    from builder.cli.du import KIND_NAMES

    counts = [
        f"{count} {_ONE[kind] if count == 1 else name}"
        for kind, name in KIND_NAMES.items()
        if (count := sum(item.kind == kind for item in done.items))
    ]
    if done.records:
        counts.append(counted(done.records, "record"))
    verb = "would go" if dry else "removed"
    lines = [f"{verb}: {', '.join(counts) or 'nothing'}"]
    if done.lost:
        lines.append(f"files that nothing names any more: {human(done.lost)}")
    if done.busy:
        lines.append(f"kept, because somebody uses them: {done.busy}")
    lines.append(f"{'reclaimable' if dry else 'reclaimed'}: {human(done.freed)} ({human(done.total)} left)")
    return "".join(f"{line}\n" for line in lines)


COMMAND = Command(
    name="prune",
    usage="",
    flags=(
        Flag(
            "--all", "", "Also what only speeds builds up: context indexes, parsed files, all records", "-a"
        ),
        Flag(
            "--filter",
            "FILTER",
            "Only such items: until=24h, type=cache, id=…, description~=make, …",
            many=True,
        ),
        Flag("--dry-run", "", "Remove nothing, show what would go"),
        Flag("--force", "", "Do not ask", "-f"),
        Flag("--max-used-space", "SIZE", "Remove only until the cache is no larger"),
        Flag("--reserved-space", "SIZE", "Keep so much of the cache in any case"),
        Flag("--min-free-space", "SIZE", "Remove only until so much is free on the file system"),
        Flag("--keep-storage", "SIZE", "The older name of --reserved-space"),
        Flag(
            "--set-limit",
            "SIZE",
            "Remove nothing: from now on builds keep the store below SIZE (0: no limit)",
        ),
        Flag("--verbose", "", "Show every item that went", "-v"),
        Flag("--format", "FORM", "table (default) or json"),
        ISOLATION,
        STORE,
    ),
    run=run,
    text="Removes what no image with a name needs, the longest unused first: steps, pulled layers, images without a name, "
    "cache mounts, downloads. What a running build or container uses stays. Builds may go on meanwhile.",
    examples=(
        ("pybuild prune --filter until=7d", "what no build needed for a week"),
        ("pybuild prune --keep-storage 10g --force", "the cache shrinks to 10 GB"),
        ("pybuild prune --filter type=cache", "cache mounts only"),
        ("pybuild prune --set-limit 20g", "builds keep the store below 20 GB from now on"),
    ),
    isolated=True,
)
