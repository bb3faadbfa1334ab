"""What a name after FROM, `--from` or `from=` stands for: a named context, a stage or an image."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from builder.graph.steps import FromImage, FromNamed, FromScratch, FromStage, Origin
from builder.image.platform import Platform
from builder.value import dataclass

SCRATCH = "scratch"
_RESERVED = frozenset({SCRATCH, "context"})  # no named context can take their place


def familiar(name: str) -> str:
    """A name as people write it: without `docker.io/`, `library/` and `:latest`."""
    short = name.removeprefix("docker.io/").removeprefix("index.docker.io/").removeprefix("library/")
    return short.removesuffix(":latest")


@dataclass(frozen=True, slots=True)
class Contexts:
    """The named contexts, by familiar name, with `::platform` where they were given for one platform only."""

    keys: Mapping[str, str]

    def find(self, name: str, platform: Platform) -> str | None:
        """The caller's key of the context that stands for `name`, the platform's own one first."""
        if not self.keys or name.lower() in _RESERVED:
            return None
        short = familiar(name)
        return self.keys.get(f"{short}::{platform.normalised()}") or self.keys.get(short)


def make_contexts(names: Collection[str]) -> Contexts:
    """Take in the names of `--build-context` flags."""
    found = {}
    for key in names:
        name, mark, platform = key.partition("::")
        found[familiar(name) + mark + platform.lower()] = key
    return Contexts(found)


@dataclass(frozen=True, slots=True)
class StageNames:
    """All stages by name, small letters; of a name given twice the last stage has it."""

    indexes: Mapping[str, int]
    replaced: Mapping[int, str]
    count: int
    contexts: Contexts

    def stage(self, text: str) -> int | None:
        """The index of a stage, by name or by number. Raises IndexError for a number that no stage has."""
        if text.isascii() and text[text[:1] in ("+", "-") :].isdigit():
            index = int(text[:9])
            if not 0 <= index < self.count:
                raise IndexError(text)
            return index
        return self.indexes.get(text.lower())

    def origin(self, text: str, platform: Platform) -> Origin:
        """Where the files of `--from=text` come from; IndexError as in `stage`."""
        index = self.stage(text)
        if index is not None:
            context = self.replaced.get(index)
            return FromStage(index) if context is None else FromNamed(context)
        if text == SCRATCH:
            return FromScratch()
        context = self.contexts.find(text, platform)
        return FromImage(text) if context is None else FromNamed(context)


def number_stages(names: Iterable[str | None]) -> dict[str, int]:
    """The last index of each stage name."""
    return {name.lower(): index for index, name in enumerate(names) if name}
