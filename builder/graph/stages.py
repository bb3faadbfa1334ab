"""The graph of a build file: its stages, what each is built from, and which others it needs."""

from __future__ import annotations

from collections.abc import Mapping

from builder.buildfile.syntax import BuildFile, Instruction, Span
from builder.graph.names import StageNames
from builder.graph.places import suggest
from builder.image.platform import Platform
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class ScratchBase:
    """`FROM scratch`: no files."""


@dataclass(frozen=True, slots=True)
class StageBase:
    """`FROM` an earlier stage."""

    index: int


@dataclass(frozen=True, slots=True)
class ContextBase:
    """`FROM` a named context; `name` is its key as the caller gave it."""

    name: str


@dataclass(frozen=True, slots=True)
class ImageBase:
    """`FROM` an image, its reference as written, with variables expanded."""

    reference: str


Base = ScratchBase | StageBase | ContextBase | ImageBase


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and the instructions below it.

    `name` is as given, in small letters, None if it has none; `label` is how progress lines call it, empty
    for a lone stage. `dependencies` are the stages that it is known to need before its base is: its own
    base stage, those of `COPY --from` and `RUN --mount=from=`, also of triggers of a base stage. A stage
    that is `replaced` by a named context has that as base and no instructions, and its triggers do not run.
    """

    index: int
    name: str | None
    label: str
    base: Base
    base_text: str
    platform: Platform
    instructions: tuple[Instruction, ...]
    dependencies: tuple[int, ...]
    span: Span
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """All stages of a build file, and those that `target` needs, in an order in which they can be built.

    `epoch` is SOURCE_DATE_EPOCH in seconds; `warnings` have a place where there is one.
    """

    file: BuildFile
    stages: tuple[Stage, ...]
    target: int
    needed: tuple[int, ...]
    names: StageNames
    platform: Platform
    build_platform: Platform
    build_args: Mapping[str, str]
    global_args: Mapping[str, str]
    epoch: int | None
    warnings: tuple[tuple[str, Span | None], ...]


def unknown_image_hint(graph: Graph, stage: Stage) -> str | None:
    """What to say when the image of a FROM cannot be found: often it is a misspelt or later stage."""
    above = [other.name for other in graph.stages[: stage.index] if other.name]
    if stage.base_text.lower() in above:
        return f"stage names are written in small letters after FROM: {stage.base_text.lower()}"
    if stage.base_text in (other.name for other in graph.stages[stage.index :]):
        return f"stage {stage.base_text} comes later in the file; FROM only knows stages above it"
    return suggest(stage.base_text, above)
