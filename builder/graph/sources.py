"""What instructions say of where their files come from."""

from __future__ import annotations

from collections.abc import Iterator

from builder.buildfile.syntax import BuildFile, Copy, Instruction, Run, Span
from builder.errors import BuildFileError
from builder.graph.mounts import mount_origin_name
from builder.graph.places import mistake, narrow


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
