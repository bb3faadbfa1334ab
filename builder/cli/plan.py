"""`pybuild plan`: what a build would find in the cache now."""

from __future__ import annotations

from builder.cli import values
from builder.cli.build import build_arguments
from builder.cli.build_flags import FLAGS as BUILD_FLAGS
from builder.cli.build_flags import refuse_later
from builder.cli.command import Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.value import replace

_FORMATS = ("text", "json")
_NOT_MET = 3
# What decides about keys and what is refused; all other flags of a build are taken, so that one line serves both.
_COUNT = frozenset(
    {
        *("--file", "--target", "--build-arg", "--build-context", "--platform", "--pull", "--reproducible"),
        *("--network", "--allow", "--add-host", "--shm-size", "--ulimit", "--no-cache", "--no-cache-filter"),
        *("--isolation", "--store", "--cache-from"),
    }
)
_ARGUMENTS = (
    *("file", "target", "build_args", "build_contexts", "platform", "no_cache", "no_cache_filter", "pull"),
    *("reproducible", "cache_from", "network", "allow", "add_hosts", "shm_size", "ulimits", "store"),
    *("docker_config", "auth_config", "stdin", "userxattr"),
)


def run(args: Arguments, around: Surroundings) -> int:
    """Print the plan; with --fail-if-build the exit status says whether anything would be built."""
    import builder

    refuse_later(args)
    form = values.choice("--format", args.text("--format") or "text", _FORMATS)
    given = build_arguments(args, around)
    plan = builder.plan(args.words[0], **{name: given[name] for name in _ARGUMENTS if name in given})
    from builder.report.planned import plan_document, plan_totals, render_plan

    if form == "json":
        import json

        around.out.write(json.dumps(plan_document(plan), indent=2) + "\n")
    else:
        around.out.write(render_plan(plan))
    for warning in plan.warnings:
        around.err.write(f"warning: {warning}\n")
    if args.switch("--fail-if-build") and not plan.cached:
        around.err.write(f"error: not everything is cached: {plan_totals(plan)}\n")
        return _NOT_MET
    return 0


COMMAND = Command(
    name="plan",
    usage="CONTEXT",
    flags=(
        Flag("--fail-if-build", "", "End with status 3 if a step would be built", group="Plan"),
        Flag("--format", "FORMAT", "text or json (default: text)", group="Plan"),
        *(flag if flag.name in _COUNT else replace(flag, text="") for flag in BUILD_FLAGS),
    ),
    run=run,
    text=(
        "Says for every step that a build with the same flags would come to whether it is in the\n"
        "cache, why not, or on which step that depends, and how long it took the last time.\n"
        "Runs and changes nothing. Of the caches that --cache-from names the records are read, no layer is\n"
        "fetched. Other flags of a build are accepted, and mean nothing here."
    ),
    examples=(
        ("pybuild plan .", "what would a build do now?"),
        ("pybuild plan --fail-if-build .", "in CI: is everything built that is committed?"),
        (
            "pybuild plan --fail-if-build --cache-from registry.example/app/cache .",
            "on an empty machine",
        ),
        ("pybuild plan --build-arg VERSION=2 --format json .", "for programs"),
    ),
    fewest=1,
    most=1,
    isolated=True,
)
