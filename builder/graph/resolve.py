"""From a build file to its graph: which stages there are, and which of them the target needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from builder.buildfile.syntax import Arg, BuildFile, From, Instruction, Onbuild, Span
from builder.errors import BuildFileError, UsageError
from builder.graph.arguments import (
    EPOCH,
    global_arguments,
    platform_arguments,
    read_epoch,
    unused_arguments,
    unused_text,
)
from builder.graph.names import SCRATCH, StageNames, make_contexts, number_stages
from builder.graph.places import mistake, narrow, nearest, together
from builder.graph.scope import Expander, Scope
from builder.graph.sources import image_mistake, no_such_stage, source_names
from builder.graph.stages import Base, ContextBase, Graph, ImageBase, ScratchBase, Stage, StageBase
from builder.graph.steps import FromImage, FromStage
from builder.image.platform import Platform, parse_platform
from builder.value import replace


def resolve_stages(
    file: BuildFile,
    *,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    platform: Platform,
    build_platform: Platform,
    named_contexts: Collection[str] = (),
    all_stages: bool = False,
) -> Graph:
    """Find the stages of a build file and what they need of one another.

    `target` is the name of the stage to build (any case), None for the last. `build_args` are the caller's
    values of ARG. `platform` is what to build for, `build_platform` where. `named_contexts` are the names of
    `--build-context` flags. With `all_stages` mistakes count in stages that the target does not need, too.
    Raises `BuildFileError` with all mistakes that show, and `UsageError` for a target that does not exist.
    """

    def resolve(file: BuildFile) -> Graph:
        return _resolve(
            file,
            target,
            dict(build_args or {}),
            platform,
            build_platform,
            named_contexts,
            all_stages=all_stages,
        )

    try:
        return resolve(file)
    except BuildFileError as error:
        # Late: hardly any file is refused.
        from builder.graph.further import with_further

        raise with_further(error, file, resolve, all_stages=all_stages) from None


def _resolve(
    file: BuildFile,
    target: str | None,
    given: dict[str, str],
    platform: Platform,
    build_platform: Platform,
    named_contexts: Collection[str],
    *,
    all_stages: bool,
) -> Graph:
    before, sections = _split(file)
    names_in_order = [section[0].name for section in sections]
    goal = (target or names_in_order[-1] or "").lower()
    if file.mistakes:
        from builder.graph.late import refuse_global

        refuse_global(file, given)
    predefined = platform_arguments(goal if target is None else target, platform, build_platform)
    global_args = global_arguments(file, before, predefined, given)
    contexts = make_contexts(named_contexts)
    index = _find_target(target, names_in_order)

    replaced = {}
    for number, (line, _) in enumerate(sections):
        context = contexts.find(line.name, platform) if line.name else None
        if context is not None:
            replaced[number] = context
    names = StageNames(number_stages(names_in_order), replaced, len(sections), contexts)
    stages = _Resolver(file, sections, names, global_args, platform).resolve()
    needed = _reachable(stages, index)
    if any(later >= stage.index for stage in stages for later in stage.dependencies):
        from builder.graph.circles import refuse_circles, refuse_later_sources

        refuse_circles(file, stages)
        refuse_later_sources(file, stages, needed)
    warnings: list[tuple[str, Span | None]] = list(file.warnings)
    if file.mistakes:
        from builder.graph.late import harmless

        carried_out = range(len(stages)) if all_stages else needed
        warnings += harmless(file, [stages[number] for number in carried_out], given)
    used: list[Instruction] = [*before, *(line for number in needed for line in stages[number].instructions)]
    unused = unused_arguments(given, predefined, used)
    if unused:
        warnings.append((unused_text(unused, used), None))
    known = [name for name in names_in_order if name] + list(named_contexts)
    warnings += _undated(file, given, global_args, [name for name in names_in_order if name], named_contexts)
    return Graph(
        file=file,
        stages=stages,
        target=index,
        needed=needed,
        names=names,
        platform=platform,
        build_platform=build_platform,
        build_args=given,
        global_args=global_args,
        epoch=_epoch(file, before, given, global_args, known),
        warnings=tuple(warnings),
    )


def _undated(
    file: BuildFile,
    given: dict[str, str],
    global_args: dict[str, str],
    stages: list[str],
    named_contexts: Collection[str],
) -> list[tuple[str, Span | None]]:
    """The warning about SOURCE_DATE_EPOCH that names a stage still, as it has the seconds where they are known."""
    chosen = given.get(EPOCH, global_args.get(EPOCH, ""))
    if not chosen or chosen.lower() not in stages or chosen in named_contexts:
        return []
    from builder.graph.epoch import epoch_source  # late: hardly a build names one

    source = epoch_source(file, chosen, given, global_args)
    assert source is not None
    return [(f"{EPOCH}={chosen}: nothing says when its source was made, the epoch is not set", source.span)]


def _epoch(
    file: BuildFile,
    before: list[Arg],
    given: Mapping[str, str],
    global_args: Mapping[str, str],
    names: list[str],
) -> int | None:
    """The value of SOURCE_DATE_EPOCH; what the file says wrongly has a place in it."""
    try:
        return read_epoch(given, global_args, names)
    except UsageError as error:
        items = [item for line in before for item in line.items if item.name == EPOCH and item.default]
        if EPOCH in given or not items:
            raise
        raise mistake(file, items[-1].span, error.message, error.hint) from None


_Section = tuple[From, tuple[Instruction, ...]]


def _split(file: BuildFile) -> tuple[list[Arg], list[_Section]]:
    """The ARG lines before the first FROM, and each FROM with its lines."""
    before: list[Arg] = []
    sections: list[tuple[From, list[Instruction]]] = []
    for line in file.instructions:
        if isinstance(line, From):
            sections.append((line, []))
        elif sections:
            sections[-1][1].append(line)
        elif isinstance(line, Arg):
            before.append(line)
        else:
            raise mistake(
                file,
                narrow(file, line.span, line.source.split(None, 1)[0]),
                f"{line.source.split(None, 1)[0]} stands before the first FROM: no build stage in the current context",
                "begin the file with a FROM line",
            )
    if not sections:
        raise BuildFileError(f"{file.name} has no build stage", hint="begin it with a FROM line")
    return before, [(line, tuple(lines)) for line, lines in sections]


def _find_target(target: str | None, names: list[str | None]) -> int:
    if not target:
        return len(names) - 1
    found = number_stages(names).get(target.lower())
    if found is not None:
        return found
    choices = [name for name in names if name]
    near = nearest(target, choices)
    hint = f"did you mean {near}? " if near else ""
    listed = f"the stages are {', '.join(choices)}" if choices else "no stage of the file has a name"
    raise UsageError(f"target stage {target[:80]!r} could not be found", hint=hint + listed)


class _Resolver:
    """Goes down the file once, knowing the stages above."""

    def __init__(
        self,
        file: BuildFile,
        sections: list[_Section],
        names: StageNames,
        global_args: Mapping[str, str],
        platform: Platform,
    ) -> None:
        self.file = file
        self.sections = sections
        self.names = names
        self.platform = platform
        self.expander = Expander(file)
        self.scope = Scope(global_args.items(), ())
        self.above: dict[str, int] = {}
        self.stages: list[Stage] = []
        self.mistakes: list[BuildFileError] = []

    def resolve(self) -> tuple[Stage, ...]:
        for line, instructions in self.sections:
            stage = self._stage(line, instructions)
            self.stages.append(stage)
            if line.name:
                self.above[line.name.lower()] = stage.index
        if self.mistakes:
            raise together(self.mistakes)
        if len(self.stages) == 1 and not self._takes_files_of_images():
            self.stages[0] = replace(self.stages[0], label="")
        return tuple(self.stages)

    def _stage(self, line: From, instructions: tuple[Instruction, ...]) -> Stage:
        index = len(self.stages)
        text = self.expander.expand(line.image, self.scope)
        if not text:
            raise mistake(
                self.file,
                line.image.span,
                f"the base name is empty: {line.image.text}",
                "give the variable a default with an ARG before the first FROM",
            )
        platform = self._platform(line)
        label = line.name or f"stage-{index}"
        context = self.names.replaced.get(index)
        if context is not None:
            base: Base = ContextBase(context)
            return Stage(index, line.name, label, base, text, platform, (), (), line.span, replaced=True)
        base = self._base(text, platform)
        if isinstance(base, ImageBase):
            self._check_image(text, line.image.span, self.above)
        if isinstance(base, StageBase):
            platform = self.stages[base.index].platform
        elif isinstance(base, ScratchBase):
            platform = self.platform
        found = set(self._sources(instructions))
        if isinstance(base, StageBase):
            found.add(base.index)
            found.update(self._sources(self._triggers(base.index)))
        return Stage(
            index, line.name, label, base, text, platform, instructions, tuple(sorted(found)), line.span
        )

    def _platform(self, line: From) -> Platform:
        if line.platform is None:
            return self.platform
        text = self.expander.expand(line.platform, self.scope)
        if not text:
            raise mistake(
                self.file, line.platform.span, f"the platform is empty: {line.platform.text}", _PLATFORM_HINT
            )
        try:
            return parse_platform(text)
        except UsageError as error:
            raise mistake(self.file, line.platform.span, error.message, error.hint) from None

    def _base(self, text: str, platform: Platform) -> Base:
        if text in self.above:
            return StageBase(self.above[text])
        if text == SCRATCH:
            return ScratchBase()
        context = self.names.contexts.find(text, platform)
        return ImageBase(text) if context is None else ContextBase(context)

    def _triggers(self, index: int) -> tuple[Instruction, ...]:
        return tuple(
            line.instruction
            for line in self.stages[index].instructions
            if isinstance(line, Onbuild) and line.instruction
        )

    def _sources(self, instructions: tuple[Instruction, ...]) -> Iterator[int]:
        """The stages that instructions take files of."""
        for line in instructions:
            for name in source_names(self.file, line):
                try:
                    origin = self.names.origin(name, self.platform)
                except IndexError:
                    raise no_such_stage(
                        self.file, narrow(self.file, line.span, f"from={name}"), name, len(self.sections)
                    ) from None
                if isinstance(origin, FromStage):
                    yield origin.index
                elif isinstance(origin, FromImage):
                    self._check_image(name, narrow(self.file, line.span, f"from={name}"), self.names.indexes)

    def _check_image(self, name: str, span: Span, stages: Iterable[str] = ()) -> None:
        wrong = image_mistake(self.file, span, name, stages)
        if wrong is not None and wrong.location not in [other.location for other in self.mistakes]:
            self.mistakes.append(wrong)

    def _takes_files_of_images(self) -> bool:
        """Whether something beside the only stage is built, so that lines need its name."""
        lines = self.stages[0].instructions
        return any(True for line in lines for _ in source_names(self.file, line))


_PLATFORM_HINT = "declare the argument before the first FROM, or write a platform such as linux/amd64"


def _reachable(stages: tuple[Stage, ...], target: int) -> tuple[int, ...]:
    found = {target}
    left = [target]
    while left:
        for index in stages[left.pop()].dependencies:
            if index not in found:
                found.add(index)
                left.append(index)
    return tuple(sorted(found))
