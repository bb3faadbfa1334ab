"""What is to be checked: the options of a call, of the file's `# check=` line, and of comments above instructions."""

from __future__ import annotations

from collections.abc import Mapping

from builder.buildfile.ignorefile import IgnoreRule
from builder.buildfile.syntax import BuildFile, Span
from builder.errors import BuildFileError, UsageError
from builder.graph.places import mistake
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.value import dataclass, field

CHECK_ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that takes the place of the file's own `# check=` line."""

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What `# check=` can say: `skip=A,B|all;error=true;experimental=A,B|all`."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    error: bool = False


@dataclass(frozen=True, slots=True)
class LintOptions:
    """What a caller says beside the file itself.

    `stages` are the indexes of the stages whose instructions are looked at (those that a target needs); None means
    all. `target` is what TARGETSTAGE says. `bases` are the configs
    of base images by the name after FROM: without one, nothing is said about variables that the image may set.
    `ignore` are the rules of the context's ignore file.
    `only`, if not empty, are the only rules to apply; `skip` are left out.
    """

    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    stages: frozenset[int] | None = None
    platform: Platform | None = None
    build_platform: Platform | None = None
    bases: Mapping[str, ImageConfig] = field(default_factory=dict)
    named_contexts: frozenset[str] = frozenset()
    ignore: tuple[IgnoreRule, ...] = ()
    skip: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()


def parse_check(text: str) -> CheckOptions:
    """Read the text behind `# check=`; a `UsageError` says what of it cannot be meant."""
    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    skip_all = experimental_all = error = False
    if not text.strip():
        return CheckOptions()
    for part in text.strip().split(";", 2):
        key, mark, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not mark or key not in ("skip", "experimental", "error"):
            raise UsageError(
                f"invalid check option {(part if not mark else key)!r}",
                hint="write skip=RULE,… or skip=all, experimental=…, error=true, with ; between them",
            )
        names = frozenset(name.strip() for name in value.split(","))
        if key == "error":
            if value not in _TRUE and value not in _FALSE:
                raise UsageError(f"invalid check option {part!r}", hint="write error=true or error=false")
            error = value in _TRUE
        elif key == "skip":
            skip, skip_all = (skip, True) if value == "all" else (names, skip_all)
        elif value == "all":
            experimental_all = True
        else:
            experimental = names
    return CheckOptions(skip, skip_all, experimental, experimental_all, error)


def check_options(file: BuildFile, build_args: Mapping[str, str]) -> CheckOptions:
    """The options of a whole file: those of the build argument if it is there, else of its `# check=` line.

    Raises `BuildFileError` for a line that cannot be read, `UsageError` for such a build argument.
    """
    given = build_args.get(CHECK_ARGUMENT)
    if given is not None:
        return parse_check(given)
    for directive in file.directives:
        if not file.lines[directive.span.line - 1].startswith("#"):
            break  # BuildKit, which looks for this one by name, gives up at blanks in front
        if directive.name == "check":
            try:
                return parse_check(directive.value.partition(" ")[0])  # BuildKit reads no further
            except UsageError as error:
                raise _bad_line(file, directive.span, error) from None
    return CheckOptions()


def _bad_line(file: BuildFile, span: Span, error: UsageError) -> BuildFileError:
    return mistake(file, span, f"the check directive cannot be read: {error.message}", error.hint)
