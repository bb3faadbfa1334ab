"""`pybuild images`: what the store holds."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from builder.cli import values
from builder.cli.command import JSON, QUIET, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.cli.table import since, table
from builder.report.text import human

if TYPE_CHECKING:
    from builder.image.reference import Reference

_SHORT = 12


def run(args: Arguments, around: Surroundings) -> int:
    """List the images, the newest first, a line for each name."""
    from builder.image.reference import parse_reference

    wanted = None
    if args.words:
        wanted = parse_reference(args.words[0])
    rows = []
    documents = []
    now = time.time()
    with around.open_store(args.text("--store")) as store:
        for image in store.images.all():
            names: list[Reference] = [parse_reference(name) for name in image.names]
            if wanted is not None:
                names = [
                    name
                    for name in names
                    if (name.registry, name.repository) == (wanted.registry, wanted.repository)
                ]
                if not names:
                    continue
            digest = str(image.config) if args.switch("--no-trunc") else image.config.hex[:_SHORT]
            shown = [_parted(name) for name in names] or [("<none>", "<none>")]
            for repository, tag in shown:
                rows.append((repository, tag, digest, since(image.created, now), human(image.size)))
            documents.append(
                {
                    "Id": str(image.config),
                    "Digest": str(image.manifest),
                    "RepoTags": [name.familiar for name in names],
                    "Platform": image.platform,
                    "Size": image.size,
                    "Stored": int(image.created),
                }
            )
    if values.wants_json(args):
        around.out.write(json.dumps(documents, indent=2) + "\n")
    elif args.switch("--quiet"):
        ids = [
            document["Id"] if args.switch("--no-trunc") else str(document["Id"])[7 : 7 + _SHORT]
            for document in documents
        ]
        around.out.write("".join(f"{line}\n" for line in dict.fromkeys(ids)))
    else:
        around.out.write(
            table([("REPOSITORY", "TAG", "IMAGE ID", "STORED", "SIZE"), *rows], right=frozenset({4}))
        )
    return 0


def _parted(name: Reference) -> tuple[str, str]:
    """A name as people write it, without its tag, and the tag."""
    tag = name.tag or "<none>"
    return name.familiar.partition("@")[0].removesuffix(f":{tag}"), tag


COMMAND = Command(
    name="images",
    usage="[NAME]",
    flags=(
        QUIET,
        Flag("--no-trunc", "", "Show ids in full"),
        *JSON,
        STORE,
    ),
    run=run,
    text="Only images called NAME, if it is given. The size is that of the compressed layers.",
    examples=(("pybuild images -q", "ids for a script"),),
    most=1,
)
