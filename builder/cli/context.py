"""`pybuild context`: which files each COPY and ADD takes, and which ignore rule decides about a path."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from builder.cli import values
from builder.cli.command import JSON, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.report.harmless import harmless
from builder.report.text import counted, human

if TYPE_CHECKING:
    from builder.engine.taken import ContextReport, TakenStep, Verdict

_KINDS = {"d": "folder", "l": "link", "p": "pipe", "s": "socket", "c": "device", "b": "device"}


def run(args: Arguments, around: Surroundings) -> int:
    """Print what the steps take, or what becomes of the paths asked about."""
    from builder.engine.request import BuildRequest
    from builder.engine.taken import taken_files

    context, *paths = args.words or (".",)
    request = BuildRequest(
        context=context,
        file=args.text("--file"),
        target=args.text("--target"),
        build_args=values.from_environment("--build-arg", args.texts("--build-arg"), around.env),
        build_contexts=values.contexts(args.texts("--build-context")),
        store=around.store_path(args.text("--store")),
        userxattr=around.in_user_namespace(),
        stdin=sys.stdin.buffer,
    )
    report = taken_files(request, tuple(paths))
    if values.wants_json(args):
        around.out.write(json.dumps(_plain(report), indent=2) + "\n")
    elif paths:
        around.out.write("".join(_verdict(verdict) for verdict in report.verdicts))
    else:
        around.out.write("".join(_lines(report, files=not args.switch("--summary"))))
    return 0


def _lines(report: ContextReport, *, files: bool) -> Iterator[str]:
    rules = (
        f"{harmless(report.ignore_file)}: {report.rules} {'rule' if report.rules == 1 else 'rules'}"
        if report.ignore_file
        else "no ignore file"
    )
    yield f"{rules}\n"
    for step in report.steps:
        where = f", of the context {harmless(step.context)}" if step.context else ""
        yield f"\n{harmless(str(step.location))}: {harmless(step.title)}{where}\n"
        if step.error:
            yield f"  {harmless(step.error)}\n"
        else:
            yield from _files(step) if files else ()
            yield f"  {_total(step)}\n" if step.files or not step.elsewhere else ""
        for source in step.elsewhere:
            yield f"  from {harmless(source)}: only a build knows\n"
    if not report.steps:
        yield "\nno step takes files\n"


def _files(step: TakenStep) -> Iterator[str]:
    for file in step.files:
        if file.kind != "d":
            size = _KINDS.get(file.kind) or human(file.size)
            note = " (a here-document)" if file.kind == "here-document" else ""
            yield f"  {size:>9}  {harmless(file.path)}{note}\n"


def _total(step: TakenStep) -> str:
    count = sum(file.kind != "d" for file in step.files)
    folders = len(step.files) - count
    words = [counted(count, "file")]
    words += [counted(folders, "folder")] if folders else []
    return f"{', '.join(words)}, {human(step.size)}"


def _verdict(verdict: Verdict) -> str:
    path = harmless(verdict.path)
    missing = "" if verdict.exists else " (there is no such file)"
    if verdict.rule is not None:
        place = f"{harmless(verdict.file)}:{verdict.rule.line}: {harmless(verdict.rule.text.strip())}"
        said = f"{path} is {'left out' if verdict.ignored else 'kept in'} by {place}{missing}\n"
    else:
        said = f"{path} is kept in: no rule matches it{missing}\n"
    if verdict.exists and not verdict.ignored:
        takers = verdict.taken_by or ("no step",)
        said += "".join(f"  taken by {harmless(taker)}\n" for taker in takers)
    return said


def _plain(report: ContextReport) -> dict[str, Any]:
    return {
        "ignoreFile": report.ignore_file or None,
        "steps": [
            {
                "title": step.title,
                "file": step.location.file,
                "line": step.location.line,
                "context": step.context or None,
                "bytes": step.size,
                "error": step.error or None,
                "elsewhere": list(step.elsewhere),
                "entries": [
                    {"kind": file.kind, "bytes": file.size, "path": file.path} for file in step.files
                ],
            }
            for step in report.steps
        ],
        "paths": [
            {
                "path": verdict.path,
                "exists": verdict.exists,
                "ignored": verdict.ignored,
                "rule": verdict.rule
                and {"file": verdict.file, "line": verdict.rule.line, "text": verdict.rule.text},
                "takenBy": list(verdict.taken_by),
            }
            for verdict in report.verdicts
        ],
    }


COMMAND = Command(
    name="context",
    usage="[CONTEXT [PATH…]]",
    flags=(
        Flag(
            "--file", "FILE", "Build file (default: Buildfile, Dockerfile or Containerfile of CONTEXT)", "-f"
        ),
        Flag("--target", "STAGE", "Stage whose steps count (default: the last)"),
        Flag("--build-arg", "NAME[=VALUE]", "Value of an ARG", many=True),
        Flag("--build-context", "NAME=SOURCE", "Named context, as for a build", many=True),
        Flag("--summary", "", "Only count the files of each step"),
        *JSON,
        STORE,
    ),
    run=run,
    text=(
        "Lists the files that each COPY and ADD takes, with their sizes. With a PATH, relative to the context, it says "
        "which ignore rule keeps the path out or in, and which steps take it. Nothing is built."
    ),
    examples=(
        ("pybuild context", "what this folder gives to its build file"),
        ("pybuild context --summary .", "only how much"),
        ("pybuild context . node_modules/left-pad", "why is it not there?"),
    ),
    fewest=0,
    most=None,
)
