"""Planning without building, to find mistakes: as far as it is certain without the configs of bases nobody knows."""

from __future__ import annotations

from collections.abc import Mapping

from builder.errors import BuildFileError
from builder.graph.places import has_variables
from builder.graph.plan import plan_stage
from builder.graph.stages import ContextBase, Graph, ImageBase, Stage, StageBase
from builder.image.config import ImageConfig, empty_config

_Known = tuple[ImageConfig, "tuple[tuple[str, str | None], ...]", bool]


def trial_errors(
    graph: Graph, bases: Mapping[str, ImageConfig], *, all_stages: bool
) -> tuple[BuildFileError, ...]:
    """The mistakes that planning the stages finds: those of the target, or with `all_stages` all.

    `bases` are the configs that are known, by the name after FROM. On top of any other image only lines without variables
    are judged: the image may set what is missing. So may what stands on a stage with mistakes.
    """
    errors: list[BuildFileError] = []
    ends: dict[int, _Known] = {}
    for stage in graph.stages if all_stages else [graph.stages[index] for index in graph.needed]:
        base, args, certain = _base(stage, bases, ends)
        try:
            plan = plan_stage(graph, stage, base=base, base_args=args)
        except BuildFileError as error:
            found = [error, *error.others]
            errors += [one for one in found if certain or not has_variables(graph.file, one)]
            ends[stage.index] = empty_config(stage.platform), (), False
            continue
        ends[stage.index] = plan.config, plan.args, certain
    return tuple(BuildFileError(one.message, hint=one.hint, location=one.location) for one in errors)


def _base(stage: Stage, bases: Mapping[str, ImageConfig], ends: Mapping[int, _Known]) -> _Known:
    """The config to begin with, the arguments that come with it, and whether nothing is missing in it."""
    if isinstance(stage.base, StageBase):
        return ends.get(stage.base.index, (empty_config(stage.platform), (), False))
    config = bases.get(stage.base_text)
    if config is not None:
        return config, (), True
    return empty_config(stage.platform), (), not isinstance(stage.base, ImageBase | ContextBase)
