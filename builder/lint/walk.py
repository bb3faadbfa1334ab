"""One walk down a build file: what each instruction's words come to, and what each stage has set so far.

Unlike the graph it never fails: what cannot be resolved is left out, and building will say why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from builder.buildfile import syntax
from builder.buildfile.syntax import Arg, BuildFile, From, Instruction, Literal, Onbuild, Variable, Word
from builder.buildfile.words import expand
from builder.errors import BuildFileError, UsageError
from builder.graph.arguments import platform_arguments
from builder.graph.names import SCRATCH, familiar
from builder.graph.scope import MAX_VALUE, Scope
from builder.image.config import DEFAULT_PATH, ImageConfig
from builder.image.platform import Platform, host_platform, parse_platform
from builder.lint.comments import Comments
from builder.lint.options import LintOptions
from builder.lint.places import escape_of
from builder.value import dataclass, field, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.lint.scripts import Script

_CHOICES = 500


@dataclass(slots=True)
class Stage:
    """One stage while the walk is in it.

    `base_text` is the name after FROM, expanded. `base` is the stage above that it is based on, `image` the config
    of its base image if the caller knows it; `known` says whether all variables that the base sets are known.
    `arguments` are the names of all ARG lines so far, those of the stages below it included.
    """

    index: int
    line: From
    instructions: list[Instruction]
    base_text: str = ""
    base: Stage | None = None
    image: ImageConfig | None = None
    known: bool = True
    needed: bool = True
    platform: Platform | None = None
    scope: Scope = field(default_factory=lambda: Scope((), ()))
    arguments: set[str] = field(default_factory=set)
    workdir_set: bool = False
    shell: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """One instruction of a stage when the walk came to it.

    `values` are what its words come to (`words_of`), None where that cannot be told; those of ARG
    are its arguments'. `unset` are variables that
    nothing has set, each with a word that uses it; `names` are those that were set, if any was unset.
    """

    stage: Stage
    line: Instruction
    values: tuple[str | None, ...]
    unset: tuple[tuple[str, Word], ...]
    names: tuple[str, ...]
    workdir_set: bool
    shell: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Trigger:
    """Where a trigger that a stage carries out comes from: its FROM, and the ONBUILD if this file has it."""

    line: From
    onbuild: Onbuild | None


class Facts:
    """All that rules look at.

    `visits` are the instructions of the stages, `carried_out` those and, before those of its stage, the triggers of each base.
    """

    def __init__(self, file: BuildFile, options: LintOptions) -> None:
        self.file = file
        self.options = options
        self.escape = escape_of(file)
        self.comments = Comments(file)
        self.platform = options.platform or host_platform()
        self.global_lines: list[Arg] = []
        self.stages: list[Stage] = []
        for line in file.instructions:
            if isinstance(line, From):
                self.stages.append(Stage(len(self.stages), line, []))
            elif self.stages:
                self.stages[-1].instructions.append(line)
            elif isinstance(line, Arg):
                self.global_lines.append(line)
        goal = options.target or (self.stages[-1].line.name if self.stages else None) or ""
        self.predefined = platform_arguments(goal, self.platform, options.build_platform or self.platform)
        for name in self.predefined:
            self.predefined[name] = options.build_args.get(name, self.predefined[name])
        self.global_args = self._global_args(options.build_args)
        self.visits: list[Visit] = []
        self.carried_out: list[Visit] = []
        self._triggered: dict[int, tuple[Instruction, Trigger]] = {}
        self.scripts: tuple[Script, ...] | None = (
            None  # filled by builder.lint.scripts, if a rule asks for them
        )
        self._walk()

    def trigger_of(self, line: Instruction) -> Trigger | None:
        """Where an instruction comes from that is a trigger of a stage's base; None for all others."""
        found = self._triggered.get(id(line))
        return found[1] if found is not None else None

    def declared(self) -> frozenset[str]:
        """The names of all ARG and ENV lines, wherever they stand, and of arguments that every build has."""
        found = set(self.predefined)
        for line in self.file.instructions:
            inner = line.instruction if isinstance(line, Onbuild) else line
            if isinstance(inner, Arg):
                found.update(item.name for item in inner.items)
            elif isinstance(inner, syntax.Env):
                found.update(pair.key.text for pair in inner.pairs)
        return frozenset(found)

    def default_args(self) -> Scope | None:
        """The arguments before the first FROM as they are when a caller gives none; None if they have no value."""
        try:
            return self._global_args({}, strict=True)
        except BuildFileError:
            return None

    def _global_args(self, given: Mapping[str, str], *, strict: bool = False) -> Scope:
        scope = Scope(self.predefined.items(), ())
        for line in self.global_lines:
            for item in line.items:
                value = given.get(item.name)
                if value is None and item.default is not None:
                    value = value_of(item.default, scope)
                    if value is None and strict:
                        raise BuildFileError(f"the default of {item.name} has no value")
                scope.set_arg(item.name, value)
        return scope

    # --- stages ---

    def _walk(self) -> None:
        above: dict[str, Stage] = {}
        for stage in self.stages:
            self._begin(stage, above)
            if stage.line.name:
                above[stage.line.name] = stage
            for line in self._triggers(stage):
                self._come_to(stage, line)
            begin = len(self.carried_out)
            for line in stage.instructions:
                self._come_to(stage, line)
            self.visits += self.carried_out[begin:]

    def _come_to(self, stage: Stage, line: Instruction) -> None:
        if not stage.needed:
            self._apply(stage, line)
        elif isinstance(line, Arg):
            self.carried_out.append(self._visit_arg(stage, line))
        else:
            self.carried_out.append(self._visit(stage, line))
            self._apply(stage, line)

    def _begin(self, stage: Stage, above: dict[str, Stage]) -> None:
        options = self.options
        line = stage.line
        stage.needed = options.stages is None or stage.index in options.stages
        stage.base_text = value_of(line.image, self.global_args) or ""
        stage.platform = self._platform(line)
        if line.name and familiar(line.name) in options.named_contexts:
            stage.known, stage.instructions = False, []
            return
        base = above.get(stage.base_text)
        stage.base = base
        if base is not None:
            stage.scope = Scope(base.scope.values.items(), ())
            stage.arguments = set(base.arguments)
            stage.known, stage.image = base.known, base.image
            stage.platform = base.platform
            stage.workdir_set, stage.shell = base.workdir_set, base.shell
            return
        stage.scope = Scope((("PATH", DEFAULT_PATH),), ())
        stage.image = options.bases.get(stage.base_text)
        stage.known = stage.image is not None or stage.base_text == SCRATCH
        if stage.image is not None:
            stage.shell = stage.image.shell
            for name, value in stage.image.env:
                stage.scope.set_env(name, value)

    def _platform(self, line: From) -> Platform:
        text = value_of(line.platform, self.global_args) if line.platform else None
        try:
            return parse_platform(text) if text else self.platform
        except UsageError:
            return self.platform

    def _triggers(self, stage: Stage) -> Iterator[Instruction]:
        """The triggers of a stage's base, each as an object of its own, as several stages may carry it out."""
        found: list[tuple[Instruction, Onbuild | None]] = []
        if stage.base is not None:
            lines = [line for line in stage.base.instructions if isinstance(line, Onbuild)]
            found = [(replace(line.instruction), line) for line in lines if line.instruction]
        elif stage.image is not None and stage.image.onbuild:
            from builder.buildfile.parse import parse_trigger  # late: needs the grammar

            for text in stage.image.onbuild:
                try:
                    found.append((parse_trigger(text), None))
                except BuildFileError:
                    continue
        for trigger, onbuild in found:
            self._triggered[id(trigger)] = trigger, Trigger(stage.line, onbuild)
            yield trigger

    # --- instructions ---

    def _visit(self, stage: Stage, line: Instruction) -> Visit:
        scope = stage.scope
        words = words_of(line)
        unset = tuple(
            [
                (name, word)
                for word in words
                for name in variables(word)
                if name not in scope.values and name not in stage.arguments
            ]
        )
        return Visit(
            stage,
            line,
            tuple([value_of(word, scope) for word in words]),
            unset,
            _names(scope) if unset else (),
            stage.workdir_set,
            stage.shell,
        )

    def _visit_arg(self, stage: Stage, line: Arg) -> Visit:
        """The arguments of one line are set from left to right, and a default that is not used is not looked at."""
        scope = stage.scope
        unset: list[tuple[str, Word]] = []
        values = []
        names: tuple[str, ...] = ()
        for item in line.items:
            if item.default is not None and item.name not in self.options.build_args:
                unset += [
                    (name, item.default)
                    for name in variables(item.default)
                    if name not in scope.values and name not in stage.arguments
                ]
            names = names or (_names(scope) if unset else ())
            values.append(self._set_arg(scope, item))
            stage.arguments.add(item.name)
        return Visit(stage, line, tuple(values), tuple(unset), names, stage.workdir_set, stage.shell)

    def _set_arg(self, scope: Scope, item: syntax.ArgItem) -> str | None:
        value = self.options.build_args.get(item.name)
        if value is None and item.default is not None:
            value = value_of(item.default, scope)
        elif value is None:
            value = self.global_args.lookup(item.name)
        scope.set_arg(item.name, value)
        return value

    def _apply(self, stage: Stage, line: Instruction) -> None:
        """What an instruction means for those after it."""
        scope = stage.scope
        if isinstance(line, Arg):
            for item in line.items:
                self._set_arg(scope, item)
                stage.arguments.add(item.name)
        elif isinstance(line, syntax.Env):
            pairs = [(value_of(pair.key, scope), value_of(pair.value, scope)) for pair in line.pairs]
            for name, value in pairs:
                if name:
                    scope.set_env(name, value or "")
        elif isinstance(line, syntax.Workdir):
            stage.workdir_set = True
        elif isinstance(line, syntax.Shell):
            stage.shell = line.argv


def _names(scope: Scope) -> tuple[str, ...]:
    """The names that are set, enough of them to find a misspelt one."""
    return tuple(scope.values) if len(scope.values) <= _CHOICES else tuple(scope.values)[:_CHOICES]


def words_of(line: Instruction) -> tuple[Word, ...]:
    """The words of an instruction in which variables are expanded; those of ARG are left out."""
    match line:
        case syntax.Env() | syntax.Label():
            return tuple([word for pair in line.pairs for word in (pair.key, pair.value)])
        case syntax.Copy():
            found = [*line.sources, line.destination]
            found += [word for word in (line.chown, line.chmod, line.checksum) if word is not None]
            return (*found, *[heredoc.word for heredoc in line.heredocs if heredoc.word is not None])
        case syntax.Run():
            fields = [field for mount in line.mounts for field in mount.fields]
            return tuple([word for key, word in fields if word is not None and key != "from"])
        case syntax.Workdir():
            return (line.path,)
        case syntax.User():
            return (line.user,)
        case syntax.Expose():
            return line.ports
        case syntax.Volume():
            return line.paths
        case syntax.StopSignal():
            return (line.signal,)
    return ()


def variables(word: Word) -> Iterator[str]:
    """The names of all variables in a word, those within others too."""
    for part in word.parts:
        if isinstance(part, Variable):
            yield part.name


def value_of(word: Word, scope: Scope) -> str | None:
    """What a word comes to, None if it has no value: `${name:?text}`, a bad pattern, or far too long a value."""
    parts = word.parts
    if len(parts) == 1 and isinstance(parts[0], Literal):  # by far the most are
        return parts[0].text
    if scope.bound(word) > MAX_VALUE:
        return None
    try:
        return expand(word, scope.lookup)
    except BuildFileError:
        return None
