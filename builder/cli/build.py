"""`pybuild build`: flags → one call of the library."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping

from builder.cli import interruption, values
from builder.cli.build_flags import FLAGS, refuse_later
from builder.cli.command import Command
from builder.cli.flags import Arguments
from builder.cli.outputs import check_standard_output, parse_output
from builder.cli.progress import MODES, Progress
from builder.cli.reports import named_files, parse_reports
from builder.cli.secrets import read_secret
from builder.cli.surroundings import Surroundings
from builder.errors import BuilderError, UnmetError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from builder.engine.request import Output
    from builder.events import Condition

_NETWORKS = ("default", "none", "host")


def run(args: Arguments, around: Surroundings) -> int:
    """Build, and write what was asked for beside the image."""
    refuse_later(args)
    if not args.words:
        raise UsageError("the build context is missing", hint="to build this folder: pybuild build .")
    if not _builds(args):
        from builder.cli.call import run_call

        return run_call(args, around)
    mode = progress_mode(args, around)
    request = build_arguments(args, around)
    reports = parse_reports(args.texts("--report"), around)
    to_stdout = check_standard_output(
        tuple(request["outputs"]), is_terminal=around.out.isatty(), reports=reports
    )
    if args.text("--iidfile"):
        # A build that fails leaves no id of an earlier one behind.
        _remove(args.text("--iidfile"))
    _check_places(
        (*args.texts("--iidfile"), *args.texts("--metadata-file"), *named_files(reports)),
        request["outputs"],
    )
    import builder

    with interruption.stoppable() as cancelled, Progress(mode, around, reports, request["store"]) as progress:
        try:
            result = builder.build(
                args.words[0],
                on_event=progress.listener,
                on_delivered=lambda done: _write_results(args, done.image_id, done.metadata),
                cancelled=cancelled,
                # Where jobs end with their processes, and the store may go to another machine, it must be complete.
                wait=around.setting("CI") is not None,
                **request,
            )
        except BuilderError as error:
            progress.failed(error)
            around.untold.error = not progress.tells_errors
            around.untold.output = not progress.shows_output
            raise
    if mode == "quiet" and result.image_id and not to_stdout:
        around.out.write(f"{result.image_id}\n")
    if result.unmet:
        unmet = _unmet(result.unmet)
        progress.tell(unmet)
        around.untold.error = not progress.tells_errors
        raise unmet
    return 0


def _unmet(conditions: tuple[Condition, ...]) -> UnmetError:
    """What ends the command with status 3: the image is there, and so are the reports."""
    first, *others = (f"{condition.text} is not met: {condition.found}" for condition in conditions)
    return UnmetError(
        "; ".join((first, *others)), hint="the image was built all the same; --report says more"
    )


def _builds(args: Arguments) -> bool:
    """Whether a build is wanted, and not only what the file says (--check, --call)."""
    if not any(flag in args.given() for flag in ("--call", "--print", "--check")):
        return True
    from builder.cli.call import builds

    return builds(args)


def progress_mode(args: Arguments, around: Surroundings) -> str:
    """How progress is to be shown."""
    if args.switch("--quiet"):
        return "quiet"
    chosen = args.text("--progress")
    if chosen is not None:
        return values.choice("--progress", chosen, MODES)
    setting = around.setting("BUILDKIT_PROGRESS")
    return values.choice("BUILDKIT_PROGRESS", setting, MODES) if setting else "auto"


def build_arguments(args: Arguments, around: Surroundings) -> dict[str, Any]:
    """The arguments of `builder.build`, each checked for its form."""
    build_args = values.from_environment("--build-arg", args.texts("--build-arg"), around.env)
    if epoch := around.setting("SOURCE_DATE_EPOCH"):
        build_args.setdefault("SOURCE_DATE_EPOCH", epoch)
    return {
        "file": args.text("--file"),
        "tags": args.texts("--tag"),
        "target": args.text("--target"),
        "build_args": build_args,
        "build_contexts": values.contexts(args.texts("--build-context")),
        "labels": values.pairs("--label", args.texts("--label")),
        "outputs": [parse_output(text) for text in args.texts("--output")],
        "platform": _platform(args, around),
        "no_cache": args.switch("--no-cache"),
        "no_cache_filter": values.comma_list(args.texts("--no-cache-filter")),
        "pull": args.switch("--pull"),
        "push": args.switch("--push"),
        "load": args.switch("--load"),
        "reproducible": args.switch("--reproducible"),
        **_caches(args),
        "network": values.choice("--network", args.text("--network") or "default", _NETWORKS),
        "allow": args.texts("--allow"),
        "add_hosts": values.hosts(args.texts("--add-host")),
        "shm_size": values.size("--shm-size", args.text("--shm-size")),
        "ulimits": values.limits(args.texts("--ulimit")),
        "secrets": dict(read_secret(text, around.env) for text in args.texts("--secret")),
        "require": args.texts("--require"),
        "jobs": values.count("--jobs", args.text("--jobs")),
        "store_limit": values.size(
            "--store-limit", args.text("--store-limit") or around.setting("PYBUILD_STORE_LIMIT")
        ),
        "store": around.store_path(args.text("--store")),
        "userxattr": around.in_user_namespace(),
        "docker_config": around.docker_config(),
        "auth_config": around.setting("DOCKER_AUTH_CONFIG"),
        "stdin": sys.stdin.buffer,
        "stdout": sys.stdout.buffer,
    }


def _caches(args: Arguments) -> dict[str, Any]:
    if not args.texts("--cache-from") and not args.texts("--cache-to"):
        return {}
    from builder.cli.caches import parse_cache_from, parse_cache_to

    return {
        "cache_from": [parse_cache_from(text) for text in args.texts("--cache-from")],
        "cache_to": [parse_cache_to(text) for text in args.texts("--cache-to")],
    }


def _platform(args: Arguments, around: Surroundings) -> str | None:
    chosen = values.comma_list(args.texts("--platform"))
    if len(chosen) > 1:
        raise UsageError(
            "--platform: building for several platforms at once is not supported yet",
            hint="build once for each platform",
        )
    platform = chosen[0] if chosen else around.setting("DOCKER_DEFAULT_PLATFORM")
    return None if platform == "local" else platform


def _check_places(paths: Iterable[str], outputs: Iterable[Output]) -> None:
    """A `UsageError` for a file that cannot be written after the build because its folder is not there; folders that the build
    writes itself count as there.
    """
    placed = [output for output in outputs if output.dest not in (None, "-")]
    made = [f"{os.path.abspath(output.dest or '')}/" for output in placed if _is_folder(output)]
    files = [output.dest or "" for output in placed if not _is_folder(output)]
    for path in (*files, *filter(None, paths)):
        folder = os.path.dirname(os.path.realpath(path))
        if os.path.isdir(path):
            raise UsageError(f'cannot write "{path}": it is a folder', hint="name a file in it")
        if not os.path.isdir(folder) and not any(
            f"{folder}/".startswith(one) or one.startswith(f"{folder}/") for one in made
        ):
            raise UsageError(f'cannot write "{path}": there is no folder "{folder}"', hint="make it first")


def _is_folder(output: Output) -> bool:
    return output.type == "local" or output.attributes.get("tar") == "false"


def _write_results(args: Arguments, image_id: str, metadata: Mapping[str, Any]) -> None:
    if path := args.text("--iidfile"):
        _write(path, image_id)
    if path := args.text("--metadata-file"):
        import json

        _write(path, json.dumps(dict(metadata), indent=2) + "\n")


def _write(path: str, text: str) -> None:
    from builder.output.destination import open_destination

    # For these flags - is a name, as for docker.
    with open_destination("./-" if path == "-" else path, None) as stream:
        stream.write(text.encode())


def _remove(path: str | None) -> None:
    try:
        if stat.S_ISREG(os.lstat(path or "").st_mode):  # a device or a pipe is to be written to
            os.unlink(path or "")
    except OSError:
        pass


COMMAND = Command(
    name="build",
    usage="CONTEXT",
    flags=FLAGS,
    run=run,
    text="CONTEXT is what COPY and ADD take files from: a folder, a URL of an archive, a git repository, or - for an archive on "
    "standard input.",
    examples=(
        ("pybuild -t example/app .", "build ./Buildfile or ./Dockerfile into the store"),
        ("pybuild -t registry.example/app:1 --push .", "build and push"),
        ("pybuild -o type=oci,dest=image.tar .", "write an OCI archive"),
        ("pybuild -o out/ --target binaries .", "write the files of a stage to a folder"),
        (
            "pybuild --report report.json --progress plain .",
            "in CI: a readable log, and a report for later jobs",
        ),
    ),
    fewest=0,
    most=1,
    isolated=True,
    works=_builds,
)
