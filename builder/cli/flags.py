"""Flags of a command line: a table for each command, read with the rules of Docker's command line.

`--name value`, `--name=value`, `-n value`, `-nvalue` and `-n=value` are one; switches may be given `=true` or `=false`,
and short switches may stand together. A table of our own costs nothing at start; argparse costs as much as
Python's start itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from builder.errors import UsageError
from builder.value import dataclass

TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    `value` is what its help calls the value; a flag without one is a switch. `text` is its help; without one the
    flag is accepted but not shown. `many` collects every use, else the last one counts. `bare` is the value
    of a flag that may come without one (`--sbom`); such a flag takes a value with `=` only. With `blank` an empty
    value is none, as scripts write `--cache-from "$CACHE"` whether they have a cache or not. `once` says that it is
    given once by those who mean it, though every use is collected.
    """

    name: str
    value: str = ""
    text: str = ""
    short: str = ""
    many: bool = False
    bare: str | None = None
    group: str = "Flags"
    blank: bool = False
    once: bool = False

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off."""
        return not self.value


class Arguments:
    """What a command line says: the values of its flags, and the words that are none.

    `slip` is a flag that may have been meant where one dash is missing (`-tag`, which is `-t ag`).
    """

    def __init__(
        self, flags: Iterable[Flag], given: Mapping[str, list[str]], words: Sequence[str], slip: str = ""
    ) -> None:
        self._names = frozenset(flag.name for flag in flags)
        self._given = given
        self.words = tuple(words)
        self.slip = slip

    def text(self, name: str) -> str | None:
        """The value of a flag, None if it was not given."""
        values = self.texts(name)
        return values[-1] if values else None

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a flag, in their order."""
        assert name in self._names, name
        return tuple(self._given.get(name, ()))

    def switch(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.text(name) == "true"

    def given(self) -> tuple[str, ...]:
        """The names of the flags that were given and are not switched off."""
        return tuple(name for name, values in self._given.items() if values and values[-1] != "false")


def read_flags(
    flags: Sequence[Flag], line: Sequence[str], *, command: str, stop_at_word: bool = False
) -> Arguments:
    """Read a command's words; a `UsageError` says what is wrong and what may be meant.

    With `stop_at_word` everything from the first word that is no flag belongs to somebody else (`run IMAGE ls -l`).
    """
    reader = _Reader(flags, list(line), command)
    while reader.rest:
        word = reader.rest.pop(0)
        if word == "--":
            reader.words += reader.rest
            break
        if word.startswith("--"):
            reader.long(word)
        elif word.startswith("-") and word != "-":
            reader.short(word)
        else:
            reader.words.append(word)
            if stop_at_word:
                reader.words += reader.rest
                break
    return Arguments(flags, reader.given, reader.words, reader.slip)


class _Reader:
    """A line being read."""

    def __init__(self, flags: Sequence[Flag], rest: list[str], command: str) -> None:
        self._long = {flag.name: flag for flag in flags}
        self._short = {flag.short: flag for flag in flags if flag.short}
        self._command = command
        self.rest = rest
        self.words: list[str] = []
        self.slip = ""
        self.given: dict[str, list[str]] = {}

    def long(self, word: str) -> None:
        """`--name`, `--name=value` or `--name value`."""
        name, mark, value = word.partition("=")
        flag = self._long.get(name)
        if flag is None:
            raise self._unknown(name)
        if mark:
            self._put(flag, value)
        elif flag.is_switch or flag.bare is not None:
            self._put(flag, flag.bare or "true")
        else:
            self._put(flag, self._next(flag, name))

    def short(self, word: str) -> None:
        """`-n value`, `-nvalue`, `-n=value`, or switches like `-it`."""
        letters = word[1:]
        meant = f"-{word.partition('=')[0]}"
        if meant in self._long:
            self.slip = meant
        while letters:
            flag = self._short.get(f"-{letters[0]}")
            if flag is None:
                raise self._unknown(f"-{letters[0]}", whole=word)
            letters = letters[1:]
            if letters.startswith("="):
                self._put(flag, letters[1:])
                return
            if flag.is_switch:
                self._put(flag, "true")
            else:
                self._put(flag, letters or self._next(flag, flag.short))
                return

    def _next(self, flag: Flag, name: str) -> str:
        if not self.rest:
            raise UsageError(
                f"{name} needs a value", hint=f"write {name} {flag.value}; see pybuild {self._command} --help"
            )
        return self.rest.pop(0)

    def _put(self, flag: Flag, value: str) -> None:
        if flag.is_switch:
            if value not in TRUE and value not in FALSE:
                raise UsageError(f'{flag.name} is true or false, not "{value}"')
            value = "true" if value in TRUE else "false"
        values = self.given.setdefault(flag.name, [])
        if not flag.many:
            values.clear()
        if value or not flag.blank:
            values.append(value)

    def _unknown(self, name: str, whole: str = "") -> UsageError:
        guess = nearest(name, [flag.name for flag in self._long.values() if flag.text])
        # `-tag` is most likely `--tag`.
        if whole and self.slip:
            guess = self.slip
        hint = f"did you mean {guess}? See" if guess else "see"
        return UsageError(f"unknown flag: {name}", hint=f"{hint} pybuild {self._command} --help")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`, None if none is near."""
    # Late: only a mistake needs it.
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None
