"""`pybuild check`: what of a build file is likely not meant, without building."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from builder.cli import values
from builder.cli.command import Command
from builder.cli.findings import FORMATS, Checked
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.errors import BuildFileError, ImageError, UsageError
from builder.lint.finding import Finding, Rule
from builder.value import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.buildfile.syntax import BuildFile
    from builder.graph.stages import Graph
    from builder.image.config import ImageConfig

_NOT_PARSED = 2
_SHELLCHECK = "shellcheck"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to check, and by which rules: `all_rules` for more than BuildKit's, `shellcheck` the program's path."""

    context: str
    file: str | None
    build_args: Mapping[str, str]
    target: str | None
    platform: str | None = None
    named_contexts: Mapping[str, str] = field(default_factory=dict)
    skip: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    all_rules: bool = True
    shellcheck: str | None = None
    notes: tuple[str, ...] = ()


def run(args: Arguments, around: Surroundings) -> int:
    """Write the findings to standard output."""
    chosen = values.choice("--format", args.text("--format") or "text", tuple(FORMATS))
    context, file = _place(args.words[0] if args.words else ".", args.text("--file"))
    skip = frozenset(values.comma_list(args.texts("--skip")))
    only = frozenset(values.comma_list(args.texts("--only")))
    for flag, names in (("--skip", skip), ("--only", only)):
        _check_names(flag, names)
    shellcheck = _program(_SHELLCHECK, around)
    notes = (
        ()
        if shellcheck
        else ("shellcheck is not installed: the shell text of RUN was not checked for its pitfalls",)
    )
    checked, fail = check_file(
        Wanted(
            context,
            file,
            values.from_environment("--build-arg", args.texts("--build-arg"), around.env),
            args.text("--target"),
            skip=skip,
            only=only,
            shellcheck=shellcheck,
            notes=notes,
        )
    )
    around.out.write(FORMATS[chosen](checked))
    if checked.errors:
        return _NOT_PARSED
    return 1 if checked.findings and (fail or args.switch("--error")) else 0


def _place(word: str, file: str | None) -> tuple[str, str | None]:
    """The context and the build file that a word and `-f` mean: the word may be either."""
    if file is None and os.path.lexists(word) and not os.path.isdir(word):
        return os.path.dirname(word) or ".", word
    if word == "-":
        return ".", file or word
    if not os.path.isdir(word):
        _refuse_elsewhere(word)
        raise UsageError(
            f'"{word}" does not exist' if not os.path.lexists(word) else f'"{word}" is not a folder',
            hint="give a build file, or the folder that holds it",
        )
    return word, file


def _refuse_elsewhere(context: str) -> None:
    """A check reads this machine's files only: it fetches nothing."""
    from builder.engine.elsewhere import lies_elsewhere
    from builder.remote.addresses import without_password

    if lies_elsewhere(context):
        raise UsageError(
            f"{without_password(context)} is not on this machine, and a check fetches nothing",
            hint="give a folder, or a build file with -f",
        )


def local_context(word: str, file: str | None) -> tuple[str, str | None]:
    """The context folder and build file that the word of `build` and its `-f` mean; `-` is a file from standard input."""
    if word == "-":
        return ".", file or word
    _refuse_elsewhere(word)
    return word, file


def _check_names(flag: str, names: frozenset[str]) -> None:
    from builder.cli.flags import nearest
    from builder.lint.rules import RULES

    known = {rule.name for rule in RULES}
    for name in sorted(names):
        if name not in known and not (name.startswith("SC") and name[2:].isdecimal()):
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else "docs/checks.md lists the rules"
            raise UsageError(f'{flag}: there is no rule "{name}"', hint=hint)


def _program(name: str, around: Surroundings) -> str | None:
    from shutil import which

    return which(name, path=around.env.get("PATH", os.defpath))


def check_file(wanted: Wanted) -> tuple[Checked, bool]:
    """Find, read, parse and check a build file; and whether the file asks to fail if something is found.

    Errors of the file are part of the result; a `UsageError` tells of a file or target that is not there.
    """
    from builder.engine.inputs import read_build_file
    from builder.engine.request import BuildRequest
    from builder.graph.further import apart

    path, name, text = read_build_file(
        BuildRequest(context=wanted.context, file=wanted.file, stdin=sys.stdin.buffer)
    )
    lines = tuple(text.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n"))
    try:
        findings, fail, errors, notes = _check(wanted, path, name, text)
    except BuildFileError as error:
        return Checked(name, text, lines, (), tuple(apart(error))), False
    return Checked(name, text, lines, findings, errors, (*wanted.notes, *notes)), fail


def _check(
    wanted: Wanted, path: str, name: str, text: bytes
) -> tuple[tuple[Finding, ...], bool, tuple[BuildFileError, ...], tuple[str, ...]]:
    from builder.buildfile.parse import UnparsedError, parse
    from builder.buildfile.syntax import EMPTY_LINE, Onbuild
    from builder.engine.contexts import ignore_rules
    from builder.engine.inputs import ignore_file_of
    from builder.graph.further import apart, with_further
    from builder.graph.places import mistake
    from builder.graph.resolve import resolve_stages
    from builder.graph.trial import trial_errors
    from builder.image.platform import host_platform, parse_platform
    from builder.lint.check import findings_of
    from builder.lint.options import LintOptions, check_options
    from builder.lint.walk import Facts

    here = host_platform()
    platform = parse_platform(wanted.platform) if wanted.platform else here
    errors: tuple[BuildFileError, ...] = ()
    stages = None
    bases: Mapping[str, ImageConfig] = {}

    def resolve(file: BuildFile) -> Graph:
        return resolve_stages(
            file,
            target=wanted.target,
            build_args=wanted.build_args,
            platform=platform,
            build_platform=here,
            named_contexts=wanted.named_contexts,
            all_stages=not wanted.target,
        )

    try:
        file = parse(text, name)
    except UnparsedError as error:
        raise with_further(error, error.rest, resolve, all_stages=True) from None
    try:
        graph = resolve(file)
        bases = _layout_bases(graph, wanted.named_contexts)
        errors = trial_errors(graph, bases, all_stages=not wanted.target)
        stages = frozenset(graph.needed) if wanted.target else None
    except BuildFileError as error:
        errors = tuple(apart(error))
    if wanted.all_rules:  # others say nothing of what a later build will stumble over
        told = {error.location for error in errors}
        errors += tuple(
            [
                found
                for item in file.mistakes
                if isinstance(file.instructions[item.instruction], Onbuild)
                and (found := mistake(file, item.span, item.message, item.hint)).location not in told
            ]
        )
    facts = Facts(
        file,
        LintOptions(
            build_args=wanted.build_args,
            target=wanted.target,
            stages=stages,
            platform=platform,
            build_platform=here,
            bases=bases,
            named_contexts=frozenset(wanted.named_contexts),
            ignore=ignore_rules(wanted.context, ignore_file_of(path))[1],
            skip=wanted.skip,
            only=wanted.only,
        ),
    )
    chosen = check_options(file, wanted.build_args)
    hits = [(rule, hit) for rule in _rules(wanted) for hit in rule.check(facts)]
    notes = tuple(
        [f"{name}:{span.line}: {message}" for message, span in file.warnings if message != EMPTY_LINE]
    )
    if wanted.shellcheck and not chosen.skip_all:
        from builder.lint.shellcheck import shell_hits

        more, others = shell_hits(facts, wanted.shellcheck)
        hits += more
        notes += others
    return findings_of(hits, facts, chosen), chosen.error, errors, notes


def _layout_bases(graph: Graph, contexts: Mapping[str, str]) -> dict[str, ImageConfig]:
    """The configs of bases that are OCI layouts, by the names after FROM; all others would have to be fetched."""
    from builder.graph.stages import ContextBase

    found = {}
    for stage in graph.stages:
        if not isinstance(stage.base, ContextBase) or stage.replaced:
            continue
        scheme, _, rest = contexts[stage.base.name].partition("://")
        if scheme == "oci-layout":
            from builder.store.importing import read_config
            from builder.store.layouts import LayoutSource

            try:
                found[stage.base_text] = read_config(LayoutSource(rest), platform=stage.platform)
            except ImageError:
                continue  # a build says what is wrong with it
    return found


def _rules(wanted: Wanted) -> tuple[Rule, ...]:
    from builder.lint import buildkit
    from builder.lint.rules import RULES

    rules = RULES if wanted.all_rules else buildkit.RULES
    return tuple(rule for rule in rules if rule.default or rule.experimental or rule.name in wanted.only)


COMMAND = Command(
    name="check",
    usage="[CONTEXT|FILE]",
    flags=(
        Flag(
            "--file",
            "FILE",
            "Build file; - is standard input (default: Buildfile, Dockerfile or Containerfile of CONTEXT)",
            "-f",
        ),
        Flag(
            "--format",
            "FORMAT",
            "text, json (as docker build --call=check gives), sarif or github (default: text)",
        ),
        Flag(
            "--build-arg",
            "NAME[=VALUE]",
            "Value of an ARG; without =VALUE that of the environment",
            many=True,
        ),
        Flag("--target", "STAGE", "Check what this stage needs (default: all stages)"),
        Flag("--error", "", "End with status 1 if there is a finding, as error=true in a # check= line does"),
        Flag("--skip", "RULE,…", "Rules to leave out", many=True),
        Flag("--only", "RULE,…", "Apply these rules alone, also those that are off by default", many=True),
    ),
    run=run,
    text=(
        "Nothing is built and nothing fetched. The rules are those of BuildKit, of hadolint (DL…), and of shellcheck (SC…)"
        " if that is installed; docs/checks.md tells of each.\n"
        "A comment above an instruction leaves rules out for it: # check=skip=RULE,… or # hadolint ignore=RULE,…;"
        " a first line # check=skip=RULE,… for the whole file."
    ),
    examples=(
        ("pybuild check", "the build file of this folder"),
        ("pybuild check --error --format github .", "in CI: annotations, and a failing job if there are any"),
        ("pybuild check --skip DL3008 image/Dockerfile", "one file, without one rule"),
    ),
    fewest=0,
    most=1,
)
