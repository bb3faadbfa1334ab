"""What instructions say of where their files come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from builder.buildfile.syntax import BuildFile, Copy, Instruction, Run, Span
from builder.errors import BuildFileError, UsageError
from builder.graph.mounts import mount_origin_name
from builder.graph.places import mistake, narrow, nearest


def source_names(file: BuildFile, line: Instruction) -> Iterator[str]:
    """The names that one instruction gives for where its files come from; refuses variables in them."""
    if isinstance(line, Copy) and line.from_:
        if "$" in line.from_:
            raise mistake(
                file,
                narrow(file, line.span, f"--from={line.from_}"),
                f"variables are not expanded in --from={line.from_}",
                "name a stage with FROM $VARIABLE AS name, and copy from that",
            )
        yield line.from_
    elif isinstance(line, Run):
        for mount in line.mounts:
            name = mount_origin_name(file, mount)
            if name:
                yield name


def no_such_stage(file: BuildFile, span: Span, name: str, count: int) -> BuildFileError:
    """The error for a stage number that is too high."""
    return mistake(
        file,
        span,
        f"there is no stage {name}",
        "the only stage is 0" if count == 1 else f"the stages are 0 to {count - 1}",
    )


def image_mistake(
    file: BuildFile, span: Span, name: str, stages: Iterable[str] = ()
) -> BuildFileError | None:
    """The error for a name of an image that can be none; `stages` are names that may have been meant instead."""
    if name.isalnum() and name.isascii() and name == name.lower() and len(name) <= 100:
        return None  # hardly any name of a file without registries has to be looked at more closely
    from builder.image.reference import parse_reference

    try:
        parse_reference(name)
    except UsageError as error:
        known = list(stages)
        near = nearest(name, known)
        hint = f"did you mean the stage {near}?" if near else error.hint
        if name.lower() in known:
            hint = f"stage names are written in small letters after FROM: {name.lower()}"
        return mistake(file, narrow(file, span, name), error.message, hint)
    return None
