"""Variables of one stage: what ENV and ARG have set so far, in the order in which they were set."""

from __future__ import annotations

import re
from collections.abc import Iterable

from builder.buildfile.syntax import BuildFile, Literal, Span, Variable, Word
from builder.buildfile.words import ExpandError, expand
from builder.graph.places import mistake, narrow
from builder.value import replace

PROXY_NAMES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
"""Build arguments that need no ARG line and enter neither keys nor history, in both cases."""

_NOT_IN_ENVIRONMENT = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


class Scope:
    """The values that words see. ENV and ARG share one space of names, and the later line wins."""

    def __init__(self, env: Iterable[tuple[str, str]], args: Iterable[tuple[str, str | None]]) -> None:
        """Begin with a base's ENV and the ARGs of a parent stage; where both have a name, ENV wins."""
        self.declared = dict(args)
        self.values = {
            name: value
            for name, value in self.declared.items()
            if value is not None and name not in _NOT_IN_ENVIRONMENT
        }
        self._from_arg = set(self.values)
        for name, value in env:
            self.set_env(name, value)

    def lookup(self, name: str) -> str | None:
        """The value of a variable, None if it is unset."""
        return self.values.get(name)

    def set_env(self, name: str, value: str) -> None:
        """Take note of `ENV name=value`."""
        self.values[name] = value
        self._from_arg.discard(name)

    def set_arg(self, name: str, value: str | None) -> None:
        """Take note of `ARG name`; without a value it leaves the variable as it was."""
        self.declared[name] = value
        if value is not None and name not in _NOT_IN_ENVIRONMENT:
            self.values[name] = value
            self._from_arg.add(name)

    def bound(self, word: Word) -> int:
        """How long a word, with all that is needed on the way to its value, can become at most, in characters.

        No number above `MAX_VALUE` is looked at closely.
        """
        length = longest = 0
        opened: list[
            tuple[int, int, str]
        ] = []  # the length before a variable, that of its value, its operator
        slashes: list[int] = []  # the length up to the replacement
        for part in word.parts:
            if isinstance(part, Literal):
                length += len(part.text)
            elif isinstance(part, Variable):
                value = len(self.values.get(part.name, ""))
                if part.operator:
                    opened.append((length, value, part.operator))
                else:
                    length += value
            elif part.sign == "/":
                slashes.append(length)
            else:
                before, value, operator = opened.pop()
                if operator.startswith("/"):
                    replacement = length - slashes.pop()
                    value += replacement * (value + 1 if operator == "//" else 1)
                elif operator.endswith("-"):
                    value = max(value, length - before)
                elif operator.endswith("+"):
                    value = length - before
                length = before + value
            longest = max(longest, length)
            if longest > MAX_VALUE:
                break
        return longest

    def environment(self) -> tuple[tuple[str, str], ...]:
        """What a RUN command gets to see."""
        return tuple(self.values.items())

    def arguments(self) -> tuple[tuple[str, str], ...]:
        """The part of the environment that an ARG set last."""
        return tuple((name, value) for name, value in self.values.items() if name in self._from_arg)

    def recorded_arguments(self) -> tuple[tuple[str, str], ...]:
        """Every declared ARG with the value that a RUN sees under its name, for the history."""
        return tuple((name, self.values.get(name, value or "")) for name, value in self.declared.items())


MAX_VALUE = 16 << 20
"""Characters that a word may have once expanded: a few lines of `ENV A=$A$A` would fill any memory."""


class Expander:
    """Words of one build file, expanded in a scope, with errors that say where."""

    def __init__(self, file: BuildFile) -> None:
        self.file = file

    def expand(self, word: Word, scope: Scope, where: Span | None = None) -> str:
        """The value of a word; `where` takes the place of the word's own span (for triggers)."""
        span = where or word.span
        if scope.bound(word) > MAX_VALUE:
            raise mistake(
                self.file,
                span,
                f"the value may be longer than {MAX_VALUE >> 20} MiB once expanded",
                "let a variable hold less",
            )
        try:
            value = expand(word, scope.lookup)
            # As BuildKit has it: what is no UTF-8 becomes the sign for that.
            return value if value.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", value)
        except ExpandError as error:
            place = narrow(self.file, span, error.variable)
            if place != span:  # up to the brace that closes it
                line = self.file.lines[place.line - 1]
                end = line.find("}", place.end_column - 1) + 1
                place = replace(place, end_column=end + 1 if end else place.end_column)
            raise mistake(self.file, place, error.message, error.hint) from None


def proxy_environment(build_args: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The proxy variables that build arguments ask for, each in capitals and in small letters."""
    found: dict[str, str] = {}
    for name, value in sorted(build_args):
        if name.lower() in PROXY_NAMES:
            found[name.upper()] = found[name.lower()] = value
    return tuple(found.items())
