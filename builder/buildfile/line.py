"""One logical line while it is parsed: its flags and arguments with their places, and errors at them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from builder.buildfile.lines import LogicalLine, Source
from builder.buildfile.syntax import Heredoc, Span, Word
from builder.buildfile.wordparse import WordError, parse_body, parse_word
from builder.errors import BuildFileError
from builder.value import dataclass, field

_TRUE = frozenset({"true", "1", "t", "T", "TRUE", "True"})
_FALSE = frozenset({"false", "0", "f", "F", "FALSE", "False"})


@dataclass(slots=True)
class FlagText:
    """A flag as written, its quotes removed; `value` is None without `=`. `at` is where it stands in the line."""

    name: str
    value: str | None
    at: int
    length: int


@dataclass(slots=True)
class Line:
    """A keyword, flags and the rest, which begins at `rest_at` of the logical line."""

    source: Source
    logical: LogicalLine
    keyword: str
    rest: str
    rest_at: int
    flags: list[FlagText] = field(default_factory=list)

    @property
    def span(self) -> Span:
        """The whole instruction, its here-documents too."""
        span = self.logical.span()
        last = self.logical.heredocs[-1] if self.logical.heredocs else None
        if last is not None and last.end_line:
            return Span(span.line, span.column, last.end_line, len(last.name) + 1)
        return span

    @property
    def text(self) -> str:
        """The instruction's source, lines joined."""
        return self.logical.text

    def error(
        self, message: str, at: int | None = None, length: int = 0, hint: str | None = None
    ) -> BuildFileError:
        """An error at a part of the logical line; without one, at its keyword."""
        if at is None:
            at, length = 0, len(self.keyword)
        return self.source.error(message, self.logical.span(at, at + max(length, 1)), hint)

    def word(self, text: str, at: int) -> Word:
        """Parse a word that begins at a place of the logical line."""
        span = self.logical.span(at, at + max(len(text), 1))
        try:
            return parse_word(text, span, escape=self.source.escape)
        except WordError as error:
            raise self.error(
                error.message, at + min(error.offset, max(len(text) - 1, 0)), 1, error.hint
            ) from None

    # --- flags ---

    def take_flags(self, known: Sequence[str]) -> dict[str, list[FlagText]]:
        """The flags by name; unknown ones are errors that name the nearest."""
        found: dict[str, list[FlagText]] = {}
        for flag in self.flags:
            if flag.name not in known:
                near = difflib.get_close_matches(flag.name, known, 1)
                hint = f"did you mean --{near[0]}?" if near else None
                if hint is None:
                    hint = (
                        f"{self.keyword} knows {', '.join('--' + name for name in known)}"
                        if known
                        else (
                            f"{self.keyword} has no flags; a command that begins with -- can be given as a JSON array"
                        )
                    )
                raise self.error(f"unknown flag --{flag.name} for {self.keyword}", flag.at, flag.length, hint)
            found.setdefault(flag.name, []).append(flag)
        return found

    def single(self, flags: dict[str, list[FlagText]], name: str) -> FlagText | None:
        """A flag that may be given once and has a value."""
        given = flags.get(name, [])
        if len(given) > 1:
            raise self.error(f"duplicate flag --{name}", given[1].at, given[1].length)
        if given and given[0].value is None:
            raise self.error(
                f"missing a value on flag --{name}", given[0].at, given[0].length, f"write --{name}=VALUE"
            )
        return given[0] if given else None

    def value(self, flags: dict[str, list[FlagText]], name: str) -> str | None:
        """The value of a flag that may be given once."""
        flag = self.single(flags, name)
        return None if flag is None else flag.value

    def word_of(self, flags: dict[str, list[FlagText]], name: str) -> Word | None:
        """The value of a flag as a word."""
        flag = self.single(flags, name)
        if flag is None or flag.value is None:
            return None
        return self.word(flag.value, flag.at + len(name) + 3)

    def boolean(self, flags: dict[str, list[FlagText]], name: str) -> bool | None:
        """`--name`, `--name=true` or `--name=false`; None if it is not given."""
        given = flags.get(name, [])
        if len(given) > 1:
            raise self.error(f"duplicate flag --{name}", given[1].at, given[1].length)
        if not given:
            return None
        value = given[0].value
        if value is None or value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise self.error(f"expecting true or false for --{name}, not {value!r}", given[0].at, given[0].length)

    # --- here-documents ---

    def heredocs(self, *, bodies: bool) -> tuple[Heredoc, ...]:
        """The here-documents; with `bodies` those that are to be expanded are parsed."""
        found = []
        for raw in self.logical.heredocs:
            span = Span(raw.line, 1, raw.end_line or raw.line, len(raw.name) + 1)
            word = None
            if bodies and raw.expand:
                try:
                    word = parse_body(raw.body, span)
                except WordError as error:
                    line = raw.line + raw.body.count("\n", 0, error.offset)
                    column = error.offset - (raw.body.rfind("\n", 0, error.offset) + 1) + 1
                    raise self.source.error(
                        error.message, Span(line, column, line, column + 1), error.hint
                    ) from None
            found.append(Heredoc(raw.name, raw.body, raw.expand, raw.strip_tabs, word, span))
        return tuple(found)


def unquote_flag(text: str, escape: str) -> str:
    """A flag's text without its quotes and escapes."""
    found, quote, at = [], "", 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == escape and at < len(text):
            found.append(text[at])
            at += 1
        elif quote:
            if character == quote:
                quote = ""
            else:
                found.append(character)
        elif character in "'\"":
            quote = character
        else:
            found.append(character)
    return "".join(found)
