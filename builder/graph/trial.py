"""Planning without building, to find mistakes: as far as it is certain without the configs of bases nobody knows."""

from __future__ import annotations

from collections.abc import Mapping

from builder.buildfile.syntax import BuildFile
from builder.errors import BuildFileError
from builder.graph.plan import plan_stage
from builder.graph.stages import ContextBase, Graph, ImageBase, Stage, StageBase
from builder.image.config import ImageConfig, empty_config

_Known = tuple[ImageConfig, "tuple[tuple[str, str | None], ...]", bool]


def trial_errors(
    graph: Graph, bases: Mapping[str, ImageConfig], *, all_stages: bool
) -> tuple[BuildFileError, ...]:
    """The mistakes that planning the stages finds: those of the target, or with `all_stages` all.

    `bases` are the configs that are known, by the name after FROM. On top of any other image only lines without variables
    are judged: the image may set what is missing.
    """
    errors: list[BuildFileError] = []
    ends: dict[int, _Known] = {}
    for stage in graph.stages if all_stages else [graph.stages[index] for index in graph.needed]:
        known = _base(stage, bases, ends)
        if known is None:  # that of a stage with mistakes
            continue
        base, args, certain = known
        try:
            plan = plan_stage(graph, stage, base=base, base_args=args)
        except BuildFileError as error:
            found = [error, *error.others]
            errors += [one for one in found if certain or not _has_variables(graph.file, one)]
            continue
        ends[stage.index] = plan.config, plan.args, certain
    return tuple(BuildFileError(one.message, hint=one.hint, location=one.location) for one in errors)


def _base(stage: Stage, bases: Mapping[str, ImageConfig], ends: Mapping[int, _Known]) -> _Known | None:
    """The config to begin with, the arguments that come with it, and whether nothing is missing in it."""
    if isinstance(stage.base, StageBase):
        return ends.get(stage.base.index)
    config = bases.get(stage.base_text)
    if config is not None:
        return config, (), True
    return empty_config(stage.platform), (), not isinstance(stage.base, ImageBase | ContextBase)


def _has_variables(file: BuildFile, error: BuildFileError) -> bool:
    """Whether the instruction that an error is about has a variable anywhere."""
    at = error.location.line if error.location else 0
    for line in file.instructions:
        if line.span.line <= at <= line.span.end_line:
            return any("$" in text for text in file.lines[line.span.line - 1 : line.span.end_line])
    return True
