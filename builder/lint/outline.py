"""What a build file offers: its stages, and what a target takes: arguments, secrets, agents, caches."""

from __future__ import annotations

from collections.abc import Iterator

from builder.buildfile.syntax import Arg, BuildFile, Instruction, Run
from builder.graph.stages import Graph
from builder.lint.options import LintOptions
from builder.lint.walk import Facts, Stage, Visit, variables
from builder.value import dataclass

_TRUE = frozenset(("true", "1", "t", "T", "TRUE", "True", None))


@dataclass(frozen=True, slots=True)
class Target:
    """A stage that can be built; `base` and `platform` as written, `lines` its FROM's first and last line."""

    name: str
    description: str
    default: bool
    base: str
    platform: str
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument that a build takes, with the value that it has without or with the caller's."""

    name: str
    value: str
    description: str
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Need:
    """A secret, an agent or a cache that RUN mounts."""

    name: str
    required: bool
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Outline:
    """What the target and all stages that it needs take, in the order of lines."""

    name: str
    description: str
    args: tuple[Argument, ...]
    secrets: tuple[Need, ...]
    ssh: tuple[Need, ...]
    caches: tuple[Need, ...]


def list_targets(file: BuildFile) -> tuple[Target, ...]:
    """All stages of a file; the last is built if nobody says which."""
    facts = Facts(file, LintOptions(stages=frozenset()))
    count = len(facts.stages)
    return tuple(
        Target(
            stage.line.name or "",
            facts.comments.description(stage.line, stage.line.name),
            stage.index == count - 1,
            stage.line.image.text,
            stage.line.platform.text if stage.line.platform else "",
            (stage.line.span.line, stage.line.span.end_line),
        )
        for stage in facts.stages
    )


def make_outline(graph: Graph) -> Outline:
    """What the target of a graph takes."""
    options = LintOptions(
        build_args=graph.build_args,
        target=graph.stages[graph.target].name,
        stages=frozenset(graph.needed),
        platform=graph.platform,
        build_platform=graph.build_platform,
        named_contexts=frozenset(graph.names.contexts.keys),
    )
    facts = Facts(graph.file, options)
    target = facts.stages[graph.target]
    args: dict[str, Argument] = {}
    # The target comes first: where two stages give a name different defaults, its own is shown.
    for stage in [
        target,
        *(facts.stages[index] for index in reversed(graph.needed) if index != graph.target),
    ]:
        for argument in _arguments(facts, stage):
            args.setdefault(argument.name, argument)
    needs: dict[str, dict[str, Need]] = {"secret": {}, "ssh": {}, "cache": {}}
    for visit in facts.carried_out:
        for kind, need in _needs(facts, visit):
            needs[kind].setdefault(need.name, need)
    return Outline(
        target.line.name or "",
        facts.comments.description(target.line, target.line.name),
        tuple(sorted(args.values(), key=lambda item: item.lines)),
        tuple(needs["secret"].values()),
        tuple(needs["ssh"].values()),
        tuple(needs["cache"].values()),
    )


def _arguments(facts: Facts, stage: Stage) -> Iterator[Argument]:
    """The arguments that a stage takes by its ARG lines, the last of a name, and those that its FROM line uses."""
    outer = _outer_arguments(facts)
    used: list[str] = []
    own: dict[str, Argument] = {}
    for visit in facts.carried_out:
        if visit.stage is not stage or not isinstance(visit.line, Arg):
            continue
        for item, value in zip(visit.line.items, visit.values, strict=True):
            if (
                item.default is None
                and item.name not in facts.options.build_args
                and item.name in facts.global_args.values
            ):
                used.append(item.name)  # the line before the first FROM tells about it
            else:
                own[item.name] = _argument(facts, visit.line, item.name, value)
    yield from own.values()
    for word in (stage.line.image, stage.line.platform):
        used += variables(word) if word is not None else ()
    for name in used:
        if name in outer:
            argument, depends = outer[name]
            yield argument
            used += [other for other in depends if other not in used]


def _outer_arguments(facts: Facts) -> dict[str, tuple[Argument, tuple[str, ...]]]:
    """The arguments before the first FROM, each with those that its default uses."""
    found: dict[str, tuple[Argument, tuple[str, ...]]] = {}
    for line in facts.global_lines:
        for item in line.items:
            depends = tuple(variables(item.default)) if item.default is not None else ()
            if item.name in facts.options.build_args:
                depends = ()
            elif item.name in depends and item.name in found:  # it goes on from its value so far
                depends = (*depends, *found[item.name][1])
            value = facts.global_args.lookup(item.name)
            found[item.name] = (_argument(facts, line, item.name, value), depends)
    return found


def _argument(facts: Facts, line: Arg, name: str, value: str | None) -> Argument:
    written = _written(facts, line)
    return Argument(name, value or "", facts.comments.description(written, name), _lines(facts, line))


def _written(facts: Facts, line: Instruction) -> Instruction:
    """The line that has the comments of an instruction: for a trigger its ONBUILD."""
    trigger = facts.trigger_of(line)
    return line if trigger is None else trigger.onbuild or trigger.line


def _lines(facts: Facts, line: Instruction) -> tuple[int, int]:
    """Where an instruction is carried out: a trigger at the FROM of its stage."""
    trigger = facts.trigger_of(line)
    span = line.span if trigger is None else trigger.line.span
    return span.line, span.end_line


def _needs(facts: Facts, visit: Visit) -> Iterator[tuple[str, Need]]:
    """What the mounts of a RUN take from the caller or keep for later builds."""
    run = visit.line
    if not isinstance(run, Run):
        return
    lines = _lines(facts, run)
    values = iter(visit.values)
    for mount in run.mounts:
        fields = {
            key: next(values) if word is not None and key != "from" else word.text if word else None
            for key, word in mount.fields
        }
        kind = fields.get("type") or ""
        target = fields.get("target") or fields.get("dst") or fields.get("destination") or ""
        required = "required" in fields and fields["required"] in _TRUE
        if kind == "secret":
            name = fields.get("source") or fields.get("src") or fields.get("id") or target.rpartition("/")[2]
            yield kind, Need(name, required, lines)
        elif kind == "ssh":
            yield kind, Need(fields.get("id") or "default", required, lines)
        elif kind == "cache":
            yield kind, Need(fields.get("id") or target, required=False, lines=lines)
