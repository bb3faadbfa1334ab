"""Plans of all stages before any of them runs: a mistake in the last line must not cost the work of those above."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from builder.errors import BuildFileError, ImageError
from builder.graph.plan import PlanOptions, plan_stage
from builder.graph.stages import ContextBase, Graph, ImageBase, ScratchBase, Stage, StageBase
from builder.graph.steps import RunStep, StagePlan
from builder.image.config import ImageConfig, empty_config, parse_config
from builder.store.store import Store

Args = tuple[tuple[str, "str | None"], ...]


class Plans:
    """The plans of a build's stages, each made once for the base that it is on top of."""

    def __init__(self, graph: Graph, options: PlanOptions, layouts: Mapping[str, str] | None = None) -> None:
        self._graph, self._options, self._layouts = graph, options, layouts or {}
        self._made: dict[int, tuple[ImageConfig, Args, StagePlan]] = {}

    def of(self, index: int, base: ImageConfig, args: Args) -> StagePlan:
        """The plan of a stage on top of a base."""
        made = self._made.get(index)
        if made is not None and made[0] == base and made[1] == args:
            return made[2]
        plan = plan_stage(
            self._graph, self._graph.stages[index], base=base, base_args=args, options=self._options
        )
        self._made[index] = (base, args, plan)
        return plan

    def foresee(self, store: Store, *, guess: bool = False) -> None:
        """Plan every stage that is needed and whose base is known by now; all mistakes are raised as one error.

        An image that the store has not counts as unknown, because what it sets may decide about words, and so does
        what stands on it: only lines without variables are judged there. With `guess` it counts as one that sets nothing.
        """
        mistakes: list[BuildFileError] = []
        unknown = False
        for index in self._graph.needed:
            base = self._base(store, self._graph.stages[index], guess=guess)
            if base is None:
                unknown = True
                continue
            try:
                self.of(index, *base)
            except BuildFileError as error:
                mistakes += [error, *error.others]
        if unknown:
            # Late: a build that has all its images does without it.
            from builder.graph.trial import trial_errors

            told = {error.location for error in mistakes}
            found = trial_errors(self._graph, {}, all_stages=False)
            mistakes += [error for error in found if error.location not in told]
        if mistakes:
            first, *others = mistakes
            first.others = tuple(others)
            raise first

    def refuse(self, network: str, allow: Collection[str], *, pull: bool = False) -> None:
        """Raise a `StepError` for each RUN that cannot be carried out here, or that the caller does not consent to.

        With `pull` the bases that the store has say nothing about what is to come.
        """
        plans: dict[int, StagePlan | None] = {}
        is_special = False
        for index in self._graph.needed:
            plan = None if pull else self.planned(index)
            plans[index] = plan
            if plan is None:
                is_special = True  # perhaps
            else:
                is_special = is_special or _has_special(plan)
        if is_special:
            # Late: hardly a build needs it.
            from builder.engine.refusals import refuse

            refuse(self._graph, plans, network, allow)

    def refuse_stage(self, index: int, network: str, allow: Collection[str]) -> None:
        """The same for one stage, once it is planned on the base that it has: that one's triggers may ask for more."""
        plan = self.planned(index)
        if plan is not None and _has_special(plan):
            from builder.engine.refusals import refuse  # late: as above

            refuse(self._graph, {index: plan}, network, allow)

    def planned(self, index: int) -> StagePlan | None:
        """The plan of a stage, if it is made."""
        made = self._made.get(index)
        return made[2] if made is not None else None

    def base_of(self, index: int) -> ImageConfig | None:
        """The config of the base that a stage is planned on, if it is."""
        made = self._made.get(index)
        return made[0] if made is not None else None

    def _base(self, store: Store, stage: Stage, *, guess: bool) -> tuple[ImageConfig, Args] | None:
        if isinstance(stage.base, ScratchBase):
            return empty_config(stage.platform), ()
        if isinstance(stage.base, StageBase):
            plan = self.planned(stage.base.index)
            return None if plan is None else (plan.config, plan.args)
        if isinstance(stage.base, ImageBase):
            image = store.find_image(stage.base.reference, platform=stage.platform)
            if image is not None:
                return parse_config(store.read_blob(image.config)), ()
        if isinstance(stage.base, ContextBase) and stage.base.name in self._layouts:
            # Late: most builds have no layouts.
            from builder.store.importing import read_config
            from builder.store.layouts import LayoutSource

            try:
                source = LayoutSource(self._layouts[stage.base.name])
                return read_config(source, platform=stage.platform), ()
            except ImageError:
                return None  # said where the image is brought in
        return (empty_config(stage.platform), ()) if guess else None


def _has_special(plan: StagePlan) -> bool:
    return any(isinstance(step, RunStep) and _is_special(step) for step in plan.steps)


def _is_special(step: RunStep) -> bool:
    """Whether a step asks for something that not every step may have."""
    return (
        step.security == "insecure"
        or step.network == "host"
        or bool(step.devices)
        or any(mount.kind == "ssh" for mount in step.mounts)
    )
