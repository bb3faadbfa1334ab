"""What else is wrong with a build file that is refused: all mistakes are told at once, not one kind after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from builder.buildfile.syntax import BuildFile, From, Instruction, Literal, Word
from builder.errors import BuilderError, BuildFileError
from builder.graph.names import SCRATCH
from builder.graph.places import has_variables, mistake, together
from builder.graph.stages import Graph
from builder.graph.trial import trial_errors
from builder.value import replace

_ROUNDS = 10
_MOST = 50


def with_further(
    error: BuildFileError, file: BuildFile, resolve: Callable[[BuildFile], Graph], *, all_stages: bool = False
) -> BuildFileError:
    """An error with all mistakes that show in the rest of the file, in the order of their lines.

    What is wrong is left out, and the rest resolved and planned: `resolve` does the first. Lines with variables are not
    judged then, as a line that is left out may be what gives them values. With `all_stages`, and where a FROM is wrong,
    stages that the target does not need are judged, too.
    """
    told = apart(error)
    wrong = {one.location.line for one in told if one.location}
    if any(isinstance(line, From) and line.span.line in wrong for line in file.instructions):
        all_stages = True
        places = {one.location for one in told}
        late = [
            mistake(file, item.span, item.message, item.hint) for item in file.mistakes if not item.argument
        ]
        told += [one for one in late if one.location not in places]
    seen = list(told)
    for _ in range(_ROUNDS):
        file = _without(file, seen)
        if len(told) > _MOST or not any(isinstance(line, From) for line in file.instructions):
            break
        try:
            graph = resolve(file)
            found: Iterable[BuildFileError] = trial_errors(graph, {}, all_stages=all_stages)
            planned = True
        except BuildFileError as again:
            found, planned = apart(again), False
        except BuilderError:  # of what the caller wants, which is told once the file is right
            break
        found = [one for one in found if one.location not in {other.location for other in seen}]
        seen += found
        told += [one for one in found if not has_variables(file, one)]
        if planned or not found:
            break
    told.sort(key=lambda one: (one.location.line, one.location.column) if one.location else (1 << 60, 0))
    if len(told) > _MOST + 1:  # that of the parser is one more already
        told[_MOST:] = [BuildFileError(f"and {len(told) - _MOST} further mistakes")]
    return together(told)


def apart(error: BuildFileError) -> list[BuildFileError]:
    """An error and those that came with it, each for itself."""
    return [BuildFileError(error.message, hint=error.hint, location=error.location), *error.others]


def _without(file: BuildFile, errors: list[BuildFileError]) -> BuildFile:
    """A file without the lines that errors are about. A FROM stays, so that what follows is a stage."""
    wrong = {error.location.line for error in errors if error.location}
    wrong |= {file.instructions[found.instruction].span.line for found in file.mistakes}
    lines: list[Instruction] = []
    for line in file.instructions:
        span = line.span
        if span.line not in wrong and not any(span.line < at <= span.end_line for at in wrong):
            lines.append(line)
        elif isinstance(line, From):
            lines.append(replace(line, image=Word((Literal(SCRATCH),), SCRATCH, span), platform=None))
    return BuildFile(file.name, file.directives, tuple(lines), (), file.lines)
