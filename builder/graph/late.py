"""Mistakes that count only where their lines are carried out, and those that count in stages nobody needs, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from builder.buildfile.syntax import BuildFile, From, Instruction, Mistake, Onbuild, Span
from builder.graph.places import mistake, together
from builder.graph.stages import Stage, StageBase


def refuse_global(file: BuildFile, given: Mapping[str, str]) -> None:
    """Refuse a file with mistakes in a FROM, or in an ARG before the first one that the caller gives no value."""
    first = next((at for at, line in enumerate(file.instructions) if isinstance(line, From)), 0)
    counting = [found for found in file.mistakes if not (found.argument and found.argument in given)]
    if any(
        found.instruction < first or isinstance(file.instructions[found.instruction], From)
        for found in counting
    ):
        _refuse(file, counting)  # all, as the file is refused anyway


def harmless(
    file: BuildFile, stages: Sequence[Stage], given: Mapping[str, str]
) -> Iterator[tuple[str, Span | None]]:
    """Refuse a file with mistakes in the lines that `stages` carry out; give back a warning for each of the others."""
    own = {id(line) for stage in stages for line in stage.instructions}
    bases = {stage.base.index for stage in stages if isinstance(stage.base, StageBase) and not stage.replaced}
    count = -1
    wrong: list[tuple[Mistake, Instruction]] = []
    rest: list[tuple[Mistake, Instruction]] = []
    at = 0
    for found in file.mistakes:
        while at <= found.instruction:
            count += isinstance(file.instructions[at], From)
            at += 1
        line = file.instructions[found.instruction]
        counts = count in bases if isinstance(line, Onbuild) else id(line) in own
        unread = bool(found.argument) and found.argument in given
        (wrong if counts and not unread else rest).append((found, line))
    _refuse(file, [found for found, _ in wrong])
    for found, line in rest:
        if isinstance(line, Onbuild):
            why = "a build that runs this trigger will fail"
        elif found.argument in given and found.argument:
            why = f"--build-arg {found.argument} takes its place"
        else:
            why = "this stage is not built"
        yield f"{found.message} ({why})", found.span


def _refuse(file: BuildFile, found: list[Mistake]) -> None:
    if found:
        raise together([mistake(file, item.span, item.message, item.hint) for item in found])
