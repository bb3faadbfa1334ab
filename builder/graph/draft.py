"""A stage while it is planned, line by line: its config, variables, steps and history so far."""

from __future__ import annotations

from builder.buildfile.syntax import Instruction, Span, Word
from builder.errors import BuildFileError
from builder.graph.places import mistake, narrow
from builder.graph.scope import Expander, Scope
from builder.graph.sources import image_mistake, no_such_stage
from builder.graph.stages import Graph, Stage
from builder.graph.steps import FromImage, FromStage, HistoryItem, Origin, Step
from builder.graph.titles import instruction_text, show_values, step_title
from builder.image.config import ImageConfig
from builder.value import dataclass, field, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PAIRS = ("env", "labels")


@dataclass(slots=True)
class Draft:
    """Grows with each line. `trigger` is where to point to while a trigger of the base runs."""

    graph: Graph
    stage: Stage
    config: ImageConfig
    scope: Scope
    number: int  # of the next title
    total: int
    hidden_env: tuple[tuple[str, str], ...] = ()
    network: str = "default"
    trigger: Span | None = None
    has_cmd: bool = False
    steps: list[Step] = field(default_factory=list)
    history: list[HistoryItem] = field(default_factory=list)
    warnings: list[tuple[str, Span]] = field(default_factory=list)
    # Fields of the config that many lines add to, until the stage's end: each line costs what it adds.
    added: dict[str, dict[str, str]] = field(default_factory=dict)

    def place(self, span: Span) -> Span:
        """Where to point for something at `span`: a trigger's own text may not be in this file."""
        return self.trigger or span

    def bad(self, span: Span, message: str, hint: str | None = None) -> BuildFileError:
        """The error for a line of this stage."""
        if self.trigger is not None:
            message = f"in a trigger of the base: {message}"
        return mistake(self.graph.file, self.place(span), message, hint)

    def expand(self, word: Word) -> str:
        """A word's value here."""
        return Expander(self.graph.file).expand(word, self.scope, self.place(word.span))

    def origin(self, name: str, span: Span) -> Origin:
        """What `--from=name` means here; refuses stages that are not built yet."""
        place = narrow(self.graph.file, self.place(span), f"--from={name}", f"from={name}")
        try:
            origin = self.graph.names.origin(name, self.stage.platform)
        except IndexError:
            raise no_such_stage(self.graph.file, place, name, len(self.graph.stages)) from None
        if isinstance(origin, FromStage) and origin.index >= self.stage.index:
            raise self.bad(
                place,
                f"files of stage {name} are not there yet",
                "move the FROM of that stage above this one",
            )
        if self.trigger is not None and isinstance(
            origin, FromImage
        ):  # those of the file were looked at before
            wrong = image_mistake(self.graph.file, place, name)
            if wrong is not None:
                raise self.bad(place, wrong.message, wrong.hint)
        return origin

    def set(self, **changes: Any) -> None:
        """Change fields of the config."""
        self.config = replace(self.config, **changes)

    def adding(self, name: str) -> dict[str, str]:
        """A field of the config to add to: `env` and `labels` by names, `exposed_ports` and `volumes` as keys."""
        found = self.added.get(name)
        if found is None:
            before = getattr(self.config, name)
            found = dict(before) if name in _PAIRS else dict.fromkeys(before, "")
            self.added[name] = found
        return found

    def finished(self) -> ImageConfig:
        """The config with all that lines added."""
        if self.added:
            self.set(
                **{
                    name: tuple(found.items()) if name in _PAIRS else tuple(sorted(found))
                    for name, found in self.added.items()
                }
            )
            self.added.clear()
        return self.config

    def record(self, created_by: str) -> None:
        """Add a history entry of an instruction that changes no file."""
        self.history.append(HistoryItem(created_by, None))

    def add(self, step: Step, created_by: str) -> None:
        """Add a step and its history entry."""
        self.history.append(HistoryItem(created_by, len(self.steps)))
        self.steps.append(step)

    def title(self, instruction: Instruction, masks: dict[str, str] | None = None, extra: str = "") -> str:
        """The next progress line; `masks` are values to show in the place of the real ones."""
        masks = masks or {}
        text = instruction_text(self.graph.file, instruction) + extra
        shown = show_values(text, lambda name: masks.get(name, self.scope.lookup(name)))
        number = self.number
        self.number += 1
        return step_title(self.stage, number, self.total, shown, trigger=self.trigger is not None)

    @property
    def working_dir(self) -> str:
        """Where relative paths start."""
        return self.config.working_dir or "/"
