"""`pybuild verify`: whether steps give the same files when they run again."""

from __future__ import annotations

from builder.cli import interruption, values
from builder.cli.build import build_arguments, progress_mode
from builder.cli.build_flags import FLAGS as BUILD_FLAGS
from builder.cli.build_flags import refuse_later
from builder.cli.command import Command
from builder.cli.flags import Arguments, Flag
from builder.cli.progress import Progress
from builder.cli.surroundings import Surroundings
from builder.errors import BuilderError, UnmetError
from builder.value import replace

_FORMATS = ("text", "json")
# What has no meaning where nothing is delivered; taken all the same, so that one line serves both.
_IDLE = frozenset(
    {
        *("--tag", "--output", "--push", "--load", "--label", "--iidfile", "--metadata-file", "--require"),
        *("--cache-to", "--report", "--check", "--call"),
    }
)


def run(args: Arguments, around: Surroundings) -> int:
    """Build, verify, and print what was found; a step that is not reproducible is an `UnmetError`."""
    import builder

    refuse_later(args)
    form = values.choice("--format", args.text("--format") or "text", _FORMATS)
    given = build_arguments(args, around)
    for name in ("tags", "labels", "require", "cache_to"):
        given.pop(name, None)
    given |= {"outputs": [builder.Output("cacheonly")], "push": False, "load": False}
    mode = progress_mode(args, around)
    with interruption.stoppable() as cancelled, Progress(mode, around, (), given["store"]) as progress:
        try:
            result = builder.build(
                args.words[0],
                on_event=progress.show,
                cancelled=cancelled,
                verify=args.texts("--step"),
                **given,
            )
        except BuilderError as error:
            progress.failed(error)
            around.untold.error = not progress.tells_errors
            around.untold.output = not progress.shows_output
            raise
    from builder.report.verified import render_verification, verification_document

    if form == "json":
        import json

        around.out.write(json.dumps(verification_document(result.verified), indent=2) + "\n")
    else:
        around.out.write(render_verification(result.verified))
    around.out.flush()
    failed = [step for step in result.verified if not step.reproducible]
    if failed:
        count = f"{len(failed)} of {len(result.verified)} steps" if len(result.verified) > 1 else "the step"
        raise UnmetError(
            f"not reproducible: {count}", hint="see docs/reproducible.md for what makes steps differ"
        )
    return 0


COMMAND = Command(
    name="verify",
    usage="CONTEXT",
    flags=(
        Flag(
            "--step",
            "STEP",
            "Step to verify: STAGE/NUMBER, a stage (its RUNs), or text of the instruction (default: every RUN)",
            many=True,
            group="Verification",
        ),
        Flag("--format", "FORMAT", "text or json (default: text)", group="Verification"),
        *(replace(flag, text="") if flag.name in _IDLE else flag for flag in BUILD_FLAGS),
    ),
    run=run,
    text=(
        "Builds, then runs the chosen steps twice more from the same files and names every file and field\n"
        "that differs. Nothing of these runs is kept, and no image is made. With --reproducible times\n"
        "count too, as they would be in the image. Ends with status 3 if a step is not reproducible.\n"
        "Flags on results of a build are accepted, and mean nothing here."
    ),
    examples=(
        ("pybuild verify .", "every RUN of the target"),
        ("pybuild verify --step build/3 .", "one step"),
        ('pybuild verify --step "RUN make" --format json .', "for programs"),
    ),
    fewest=1,
    most=1,
    isolated=True,
)
