"""SOURCE_DATE_EPOCH that names a stage: the one source that the stage's ADD fetches says what time it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile

from builder.buildfile.syntax import Arg, BuildFile, Copy, From, Instruction, Span
from builder.errors import BuildFileError
from builder.graph.arguments import EPOCH, global_arguments
from builder.graph.names import SCRATCH
from builder.graph.places import mistake
from builder.graph.scope import Expander, Scope
from builder.remote.addresses import is_remote
from builder.value import dataclass

_HINT = "a stage that gives the time has FROM scratch, ARG lines, and one ADD of one URL or git repository"


@dataclass(frozen=True, slots=True)
class EpochSource:
    """What a stage fetches: an address, and the digest or commit that its content must have, if that is written."""

    address: str
    checksum: str | None
    span: Span


def written_epoch(file: BuildFile, build_args: Mapping[str, str], predefined: Mapping[str, str]) -> str:
    """SOURCE_DATE_EPOCH as the caller or an ARG before the first FROM gives it, empty if none does or it cannot be read."""
    if EPOCH in build_args:
        return build_args[EPOCH]
    lines = global_lines(file)
    if not any(item.name == EPOCH for line in lines for item in line.items):
        return ""
    try:
        return global_arguments(file, lines, predefined, build_args).get(EPOCH, "")
    except BuildFileError:
        return ""  # told with all other mistakes of the file


def global_lines(file: BuildFile) -> list[Arg]:
    """The ARG lines before the first FROM."""
    before = takewhile(lambda line: not isinstance(line, From), file.instructions)
    return [line for line in before if isinstance(line, Arg)]


def epoch_source(
    file: BuildFile, name: str, build_args: Mapping[str, str], global_args: Mapping[str, str]
) -> EpochSource | None:
    """The source of the first stage of a name, in any case; None if there is no such stage.

    Raises `BuildFileError` if the stage does anything but fetch one source. Global arguments are known in it without ARG
    lines, as in BuildKit.
    """
    stage = _stage(file, name)
    if stage is None:
        return None
    line, instructions = stage
    expander = Expander(file)
    scope = Scope(((key, value) for key, value in global_args.items() if key != EPOCH), ())
    if expander.expand(line.image, scope) != SCRATCH:
        raise mistake(file, line.image.span, f"{EPOCH}={name}: the stage is not FROM {SCRATCH}", _HINT)
    found: EpochSource | None = None
    for instruction in instructions:
        if isinstance(instruction, Arg):
            for item in instruction.items:
                value = build_args.get(item.name)
                if value is None and item.default is not None:
                    value = expander.expand(item.default, scope)
                scope.set_arg(item.name, value)
            continue
        source = _source(instruction, expander, scope)
        if source is None or found is not None:
            problem = "the stage does more than fetch one source"
            raise mistake(file, instruction.span, f"{EPOCH}={name}: {problem}", _HINT)
        found = source
    if found is None:
        raise mistake(file, line.span, f"{EPOCH}={name}: the stage fetches nothing", _HINT)
    return found


def _stage(file: BuildFile, name: str) -> tuple[From, list[Instruction]] | None:
    rest = iter(file.instructions)
    for line in rest:
        if isinstance(line, From) and (line.name or "").lower() == name.lower():
            return line, list(_until_from(rest))
    return None


def _until_from(lines: Iterable[Instruction]) -> Iterable[Instruction]:
    return takewhile(lambda line: not isinstance(line, From), lines)


def _source(line: Instruction, expander: Expander, scope: Scope) -> EpochSource | None:
    """The one remote source of an ADD, None for anything else."""
    if not isinstance(line, Copy) or line.keyword != "ADD" or line.heredocs or len(line.sources) != 1:
        return None
    address = expander.expand(line.sources[0], scope)
    if not is_remote(address):
        return None
    checksum = expander.expand(line.checksum, scope) if line.checksum else ""
    return EpochSource(address, checksum or None, line.sources[0].span)
