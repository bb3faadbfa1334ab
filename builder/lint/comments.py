"""Comments above instructions: which rules they skip, and what they say about stages and arguments.

The syntax tree has no comments, so they are read from the lines between two instructions.
"""

from __future__ import annotations

from builder.buildfile.syntax import BuildFile, Instruction
from builder.errors import UsageError
from builder.lint.options import CheckOptions, parse_check
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Skips:
    """The rules that comments above one instruction skip, and the experimental ones that they switch on."""

    names: frozenset[str] = frozenset()
    all: bool = False
    check: CheckOptions = CheckOptions()


NO_SKIPS = Skips()


class Comments:
    """The comments of a file, by the first line of the instruction that they stand above."""

    def __init__(self, file: BuildFile) -> None:
        self._above: dict[int, tuple[str, ...]] = {}
        self._skips: dict[int, Skips] = {}
        self.everywhere: frozenset[str] = frozenset()
        lines = file.lines
        begin = max((directive.span.line for directive in file.directives), default=0)
        for instruction in file.instructions:
            first = instruction.span.line
            found: list[str] = []
            for number in range(begin, first - 1):
                text = lines[number].strip()
                if not text.startswith("#"):
                    continue
                text = text[1:].strip()
                if text.startswith("hadolint"):
                    self.everywhere |= _hadolint(text, "global")
                # A lone # ends what belongs to the instruction, as BuildKit has it; an empty line does not.
                if text:
                    found.append(text)
                else:
                    found = []
            if found:
                self._above[first] = tuple(found)
            begin = instruction.span.end_line

    def above(self, line: Instruction) -> tuple[str, ...]:
        """The comments above an instruction, without their marks."""
        return self._above.get(line.span.line, ())

    def skips(self, line: Instruction) -> Skips:
        """What the comments above an instruction skip."""
        first = line.span.line
        texts = self._above.get(first)
        if texts is None:
            return NO_SKIPS
        if first not in self._skips:
            self._skips[first] = _read(texts)
        return self._skips[first]

    def description(self, line: Instruction, name: str | None) -> str:
        """What a comment `# NAME text` above FROM or ARG says about a stage or an argument; else nothing."""
        for text in self.above(line):
            if name and text.startswith(f"{name} "):
                return text[len(name) + 1 :]
        return ""


def _read(texts: tuple[str, ...]) -> Skips:
    names: frozenset[str] = frozenset()
    check: CheckOptions | None = None
    for text in texts:
        if text.startswith("hadolint"):
            names |= _hadolint(text, "")
            continue
        key, _, value = text.partition("=")
        if value.strip() and check is None and key.strip().lower() == "check":
            try:
                check = parse_check(value.strip().partition(" ")[0])
            except UsageError:  # a comment is free to say anything
                check = CheckOptions()
    check = check or CheckOptions()
    return Skips(names | check.skip, check.skip_all, check)


def _hadolint(text: str, kind: str) -> frozenset[str]:
    """The rules of `hadolint ignore=A,B` or `hadolint global ignore=A,B`."""
    words = text.removeprefix("hadolint")
    if words[:1] not in (" ", "\t"):
        return frozenset()
    words = words.strip()
    if kind:
        if not words.startswith(kind):
            return frozenset()
        words = words.removeprefix(kind).strip()
    if not words.startswith("ignore"):
        return frozenset()
    words = words.removeprefix("ignore").strip()
    if not words.startswith("="):
        return frozenset()
    return frozenset(name.strip() for name in words[1:].partition("#")[0].split(",") if name.strip())


def shell_of(texts: tuple[str, ...]) -> str | None:
    """The shell that a comment `# hadolint shell=SHELL` names."""
    for text in texts:
        words = text.removeprefix("hadolint").strip()
        if text.startswith("hadolint ") and words.startswith("shell"):
            key, mark, value = words.partition("=")
            if mark and key.strip() == "shell" and value.split():
                return value.split()[0]
    return None
