"""One logical line while it is parsed: its flags and arguments with their places, and errors at them."""

from __future__ import annotations

from collections.abc import Sequence

from builder.buildfile.flags import FlagText
from builder.buildfile.lines import LogicalLine, Source
from builder.buildfile.syntax import Heredoc, Literal, Span, Word
from builder.buildfile.wordparse import WordError, parse_body, parse_word
from builder.errors import BuildFileError
from builder.value import dataclass, field


def nearest(word: str, choices: Sequence[str]) -> str | None:
    """The choice that is spelled most like a word, if one is near."""
    from difflib import get_close_matches

    found = get_close_matches(word[:100], choices, 1)
    return found[0] if found else None


@dataclass(slots=True)
class Line:
    """A keyword, flags and the rest, which begins at `rest_at` of the logical line.

    `keyword` is in capitals, `escape` the escape character: that of the file, but for triggers, in which only words
    are escaped by it. `late` are mistakes that count only if the line is carried out, with the ARG that each belongs to.
    """

    source: Source
    logical: LogicalLine
    keyword: str
    rest: str
    rest_at: int
    escape: str
    flags: list[FlagText] = field(default_factory=list)
    keyword_at: int = 0
    late: list[tuple[BuildFileError, str]] = field(default_factory=list)

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
            at, length = self.keyword_at, len(self.keyword)
        return self.source.error(message, self.logical.span(at, at + max(length, 1)), hint)

    def rest_error(self, message: str, hint: str | None = None) -> BuildFileError:
        """An error at all arguments, or at the keyword where there are none."""
        if not self.rest:
            return self.error(message, hint=hint)
        return self.error(message, self.rest_at, len(self.rest), hint)

    def needs(self, what: str, hint: str) -> None:
        """Refuse a line without arguments; `what` says how many it takes."""
        if not self.rest:
            raise self.error(f"{self.keyword} requires {what}", hint=hint)

    def word(self, text: str, at: int, length: int | None = None, argument: str = "") -> Word:
        """Parse a word that begins at a place of the logical line; one that is wrong is one of the `late` mistakes.

        Pass `length` for a word that is written with quotes around or escapes in it: errors are then at all of it, and
        `argument` for the default of an ARG.
        """
        span = self.logical.span(at, at + max(len(text) if length is None else length, 1))
        try:
            return parse_word(text, span, escape=self.source.escape)
        except WordError as error:
            if length is None:
                offset = min(error.offset, max(len(text) - 1, 0))
                if error.needs_brace and "}" in self.text[at + len(text) :].partition("$")[0]:
                    error.hint = "a blank ends the word, even in ${…}: put it in quotes"
                at, length = at + offset, min(error.length, len(text) - offset)
            self.late.append((self.error(error.message, at, length, error.hint), argument))
            return Word((Literal(text),), text, span)

    # --- flags ---

    def take_flags(self, known: Sequence[str]) -> dict[str, list[FlagText]]:
        """The flags by name; unknown ones are errors that name the nearest."""
        found: dict[str, list[FlagText]] = {}
        for flag in self.flags:
            if flag.open_quote is not None:
                span = self.logical.span(flag.open_quote, flag.open_quote + 1)
                if self.keyword != "RUN":  # all others lack what the quote has swallowed
                    hint = "close it at the end of the flag"
                    raise self.source.error("the quote is never closed", span, hint)
                self.source.warnings.append(("the quote is never closed: no command is left", span))
            if flag.name not in known:
                length = flag.length if flag.value is None or not flag.plain else len(flag.name) + 2
                raise self.error(
                    f"unknown flag --{flag.name[:80]} for {self.keyword}",
                    flag.at,
                    length,
                    self._flag_hint(flag.name, known),
                )
            found.setdefault(flag.name, []).append(flag)
        return found

    def _flag_hint(self, name: str, known: Sequence[str]) -> str:
        near = nearest(name, known) or nearest(name.lower(), known)
        if near:
            return f"did you mean --{near}?"
        if known:
            return f"{self.keyword} knows {', '.join('--' + name for name in known)}"
        if self.keyword in ("CMD", "ENTRYPOINT"):
            return (
                f'a command that begins with -- is written as a JSON array: {self.keyword} ["--{name[:40]}"]'
            )
        return f"{self.keyword} has no flags"

    def ignore_flags(self) -> None:
        """Leave flags out, as BuildKit does with a few instructions, but say so."""
        for flag in self.flags:
            span = self.logical.span(flag.at, flag.at + flag.length)
            self.source.warnings.append((f"{self.keyword} has no flags: --{flag.name} is ignored", span))

    def single(self, flags: dict[str, list[FlagText]], name: str) -> FlagText | None:
        """A flag that may be given once and has a value."""
        given = self.values(flags, name)
        if len(given) > 1:
            raise self.error(
                f"duplicate flag --{name[:80]}",
                given[1].at,
                given[1].length,
                "a step takes it once: remove one",
            )
        return given[0] if given else None

    def values(self, flags: dict[str, list[FlagText]], name: str) -> list[FlagText]:
        """All flags of a name, each of which must have a value."""
        given = flags.get(name, [])
        for flag in given:
            if flag.value is None:
                raise self.error(
                    f"missing a value on flag --{name}", flag.at, flag.length, f"write --{name}=VALUE"
                )
        return given

    def value(self, flags: dict[str, list[FlagText]], name: str) -> str | None:
        """The value of a flag that may be given once."""
        flag = self.single(flags, name)
        return None if flag is None else flag.value

    def word_of(self, flags: dict[str, list[FlagText]], name: str) -> Word | None:
        """The value of a flag as a word."""
        flag = self.single(flags, name)
        if flag is None or flag.value is None:
            return None
        if flag.plain:
            return self.word(flag.value, flag.value_at)
        return self.word(flag.value, flag.at, flag.length)

    def boolean(self, flags: dict[str, list[FlagText]], name: str) -> bool | None:
        """`--name`, `--name=true` or `--name=false`; None if it is not given."""
        given = flags.get(name, [])
        if len(given) > 1:
            raise self.error(f"duplicate flag --{name[:80]}", given[1].at, given[1].length, "remove one")
        if not given:
            return None
        value = given[0].value
        if value is None or value.lower() == "true":
            return True
        if value.lower() == "false":
            return False
        message = (
            f"--{name} is true or false, not {value!r}" if value else f"missing a value on flag --{name}"
        )
        raise self.flag_error(given[0], message, f"write --{name} or --{name}=false")

    def flag_error(self, flag: FlagText, message: str, hint: str | None = None) -> BuildFileError:
        """An error at the value of a flag, or at all of a flag that has none or is quoted."""
        if flag.plain and flag.value:
            return self.error(message, flag.value_at, len(flag.value), hint)
        return self.error(message, flag.at, flag.length, hint)

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
                    tabs = self._tabs(line) if raw.strip_tabs else 0
                    span = Span(line, column + tabs, line, column + tabs + error.length)
                    self.late.append((self.source.error(error.message, span, error.hint), ""))
            tabbed = raw.raw if raw.strip_tabs and not bodies else ""
            found.append(Heredoc(raw.name, raw.body, raw.expand, raw.strip_tabs, word, span, tabbed))
        return tuple(found)

    def _tabs(self, number: int) -> int:
        text = self.source.lines[number - 1]
        return len(text) - len(text.lstrip("\t"))
