"""A stage once its base is known: its lines, one by one, become steps and a config."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from builder.buildfile.syntax import (
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Span,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from builder.errors import BuildFileError
from builder.graph import configs
from builder.graph.copy import plan_copy, plan_workdir
from builder.graph.draft import Draft
from builder.graph.places import mentions_variables, mistake, together
from builder.graph.run import plan_run
from builder.graph.scope import Scope, proxy_environment
from builder.graph.stages import ContextBase, Graph, ImageBase, Stage, StageBase
from builder.graph.steps import Control, StagePlan
from builder.graph.titles import count_steps, step_title
from builder.image.config import DEFAULT_PATH, ImageConfig
from builder.image.platform import compatible
from builder.value import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ParseTrigger = Callable[[str], Instruction]
"""Parses one instruction that an ONBUILD stored; raises `BuildFileError`."""

_PLANNERS: Mapping[type[Any], Callable[[Draft, Any], None]] = {
    Arg: configs.apply_arg,
    Cmd: configs.apply_cmd,
    Copy: plan_copy,
    Entrypoint: configs.apply_entrypoint,
    Env: configs.apply_env,
    Expose: configs.apply_expose,
    Healthcheck: configs.apply_healthcheck,
    Label: configs.apply_label,
    Maintainer: configs.apply_maintainer,
    Onbuild: configs.apply_onbuild,
    Run: plan_run,
    Shell: configs.apply_shell,
    StopSignal: configs.apply_stop_signal,
    User: configs.apply_user,
    Volume: configs.apply_volume,
    Workdir: plan_workdir,
}


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the caller says about all steps: `network` is the `--network` of the build."""

    network: str = "default"


def plan_stage(
    graph: Graph,
    stage: Stage,
    *,
    base: ImageConfig,
    base_args: Iterable[tuple[str, str | None]] = (),
    options: PlanOptions | None = None,
    parse_trigger: ParseTrigger | None = None,
) -> StagePlan:
    """Plan a stage on top of `base`: first the base's triggers, then the stage's own lines.

    `base` is the config of the base image, `empty_config(stage.platform)` for scratch and folders, or the
    config that the plan of the base stage ended with; `base_args` are the `args` of that plan.
    `parse_trigger` reads the triggers of an image. Raises `BuildFileError` for lines that mean nothing.
    """
    if stage.replaced:
        return StagePlan((), replace(base, onbuild=()), (), tuple(base_args))
    triggers = _triggers(graph, stage, base, parse_trigger)
    config = replace(base, onbuild=(), env=_with_path(base))
    fetched = isinstance(stage.base, ImageBase | ContextBase)
    draft = Draft(
        graph=graph,
        stage=stage,
        config=config,
        scope=Scope(config.env, base_args),
        number=2 if fetched else 1,
        total=count_steps(stage, len(triggers)),
        hidden_env=proxy_environment(graph.build_args.items()),
        network=(options or PlanOptions()).network,
    )
    for draft.trigger, trigger in triggers:
        _PLANNERS[type(trigger)](draft, trigger)
    draft.trigger = None
    if isinstance(stage.base, ImageBase):
        _warn_of_other_platform(draft, base)
    _plan_lines(draft, stage.instructions)
    return StagePlan(
        steps=tuple(draft.steps),
        config=draft.finished(),
        history=tuple(draft.history),
        args=tuple(draft.scope.declared.items()),
        warnings=tuple(draft.warnings),
    )


def _plan_lines(draft: Draft, lines: Iterable[Instruction]) -> None:
    """Plan lines in order; all that are wrong are told at once. Once a line is wrong that later ones may depend on, those
    with variables are passed over.
    """
    mistakes: list[BuildFileError] = []
    controlled = _controlled(draft.graph)
    file = draft.graph.file
    has_nul = bool(file.warnings) and any("\0" in line for line in file.lines)
    unsure = False
    for line in lines:
        if unsure and mentions_variables(file, draft.place(line.span)):
            continue
        try:
            count = len(draft.steps)
            _PLANNERS[type(line)](draft, line)
            if has_nul and len(draft.steps) > count:
                from builder.graph.nul import refuse_nul  # late: hardly any file has one

                refuse_nul(draft, line)
            if controlled and line.span.line in controlled:
                draft.steps[-1] = replace(
                    draft.steps[-1], control=_control(draft, controlled[line.span.line])
                )
        except BuildFileError as error:
            mistakes.append(error)
            unsure = unsure or isinstance(line, Arg | Env)
    if mistakes:
        raise together(mistakes)


def _controlled(graph: Graph) -> dict[int, dict[str, str]]:
    """The settings of comments above instructions, by the first line of those."""
    found: dict[int, dict[str, str]] = {}
    for item in graph.file.controls:
        line = graph.file.instructions[item.instruction].span.line
        found.setdefault(line, {})[item.name] = item.value
    return found


def _control(draft: Draft, settings: Mapping[str, str]) -> Control:
    from builder.buildfile.controls import expiry  # late: few files have one

    command = settings.get("recheck", "")
    return Control(
        never="cache" in settings,
        expires=expiry(settings["expires"]) if "expires" in settings else 0,
        recheck=configs.in_shell(draft, command) if command else (),
        command=command,
    )


def base_title(stage: Stage) -> str:
    """The progress line for a base that is fetched: `[build 1/5] FROM debian:12`."""
    return step_title(stage, 1, count_steps(stage), f"FROM {stage.base_text}")


def _triggers(
    graph: Graph, stage: Stage, base: ImageConfig, parse_trigger: ParseTrigger | None
) -> list[tuple[Span, Instruction]]:
    """The triggers to run and where they stand: those of a stage were parsed with the file."""
    if isinstance(stage.base, StageBase):
        lines = graph.stages[stage.base.index].instructions
        return [
            (line.span, line.instruction) for line in lines if isinstance(line, Onbuild) and line.instruction
        ]
    if not base.onbuild:
        return []
    if parse_trigger is None:
        from builder.buildfile import parse  # late: needs the grammar

        parse_trigger = parse.parse_trigger
    return [(stage.span, _parse(graph, stage, text, parse_trigger)) for text in base.onbuild]


def _parse(graph: Graph, stage: Stage, text: str, parse_trigger: ParseTrigger) -> Instruction:
    try:
        found = parse_trigger(text)
    except BuildFileError as error:
        shown = text.partition("\n")[0][:120]
        message = f"the base has a trigger that does not parse: {shown!r}: {error.message}"
        raise mistake(graph.file, stage.span, message, error.hint) from None
    if isinstance(found, From | Onbuild | Maintainer):
        name = type(found).__name__.upper()
        raise mistake(graph.file, stage.span, f"{name} is not allowed as a trigger of the base")
    return found


def _warn_of_other_platform(draft: Draft, base: ImageConfig) -> None:
    """Say so if an image is not for the platform that the stage is for: its commands may not start."""
    stage, found = draft.stage, base.platform.normalised()
    if base.os and base.architecture and found not in compatible(stage.platform):
        message = f"base image {stage.base_text} is for {found}, not for {stage.platform}"
        draft.warnings.append((message, stage.span))


def _with_path(base: ImageConfig) -> tuple[tuple[str, str], ...]:
    """The variables of a base, with a PATH in any case."""
    if base.os == "windows" or any(name == "PATH" for name, _ in base.env):
        return base.env
    return (*base.env, ("PATH", DEFAULT_PATH))
