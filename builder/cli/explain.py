"""`pybuild explain`: why the steps of a build were carried out and not taken from the cache."""

from __future__ import annotations

from builder.cli.command import STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings

_FORMATS = ("text", "json")


def run(args: Arguments, around: Surroundings) -> int:
    """Print why each step of a build missed, or all about one step."""
    from builder.engine.explaining import explain_build

    form = args.text("--format") or "text"
    if form not in _FORMATS:
        from builder.cli import values

        values.choice("--format", form, _FORMATS)
    number, step = _chosen(args.words)
    with around.open_store(args.text("--store"), reading=True) as store:
        found = explain_build(store, number, step, diff=args.switch("--diff"))
    if form == "json":
        import json

        from builder.report.explained import explanation_document

        around.out.write(json.dumps(explanation_document(found), indent=2) + "\n")
        return 0
    from builder.report.explained import render_explanation

    around.out.write(render_explanation(found, whole=step is not None))
    return 0


def _chosen(words: tuple[str, ...]) -> tuple[int | None, str | None]:
    """The build and the step that are meant: a first word that is no number is a step of the last build."""
    if not words:
        return None, None
    first, *rest = words
    if first == "last":
        return None, rest[0] if rest else None
    if first.isascii() and first.isdecimal() and len(first) <= 18:
        return int(first), rest[0] if rest else None
    if rest:
        from builder.errors import UsageError

        raise UsageError(f'"{first}" is no number of a build', hint="pybuild explain [BUILD] [STEP]")
    return None, first


COMMAND = Command(
    name="explain",
    usage="[BUILD] [STEP]",
    flags=(
        Flag("--diff", "", "Show how the text of changed files differs"),
        Flag("--format", "FORMAT", "text or json (default: text)"),
        STORE,
    ),
    run=run,
    text=(
        "Says for every step of a build that was not found in the cache what was another than before.\n"
        "BUILD is its number or `last` (the default); STEP is a number, STAGE/NUMBER, or text of its\n"
        "title, and tells all about it. Needs nothing but the store."
    ),
    examples=(
        ("pybuild explain", "why did the last build build anything?"),
        ("pybuild explain 12", "and build 12?"),
        ('pybuild explain last "RUN make"', "one step, with the way to the first cause"),
        ("pybuild explain --diff", "with the lines of small files that changed"),
    ),
    fewest=0,
    most=2,
)
