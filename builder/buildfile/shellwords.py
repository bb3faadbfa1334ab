"""Shell words as BuildKit's lexer finds them when it looks for here-documents: the escape is a backslash, no
variable has a value, and what is unset stays as it is written.
"""

from __future__ import annotations

import re

from builder.buildfile.blanks import ANY_BLANK, BLANKS

_PLAIN = {stop: re.compile(rf"[^$<'\"\\{stop}]+") for stop in (BLANKS, "}", "/")}
_SPACES = re.compile(f"{ANY_BLANK}+")
_NAME = re.compile(r"[0-9]+|[^\W\d]\w*|[@*#?\-$!]")
_IN_DOUBLE = re.compile(r"[^\"$\\]+")
_AFTER_OPENING = re.compile(r"<<[\t\r ]*")


class ShellWordError(ValueError):
    """The text is no list of words: a quote or brace is open, or a `${…}` is of no known form."""


def shell_words(text: str, *, raw: bool, keep_quotes: bool = False) -> list[str]:
    """The words of a text; with `raw` their quotes and escapes stay, with `keep_quotes` their quotes.

    Raises `ShellWordError`.
    """
    return _Reader(text, raw=raw, quotes=raw or keep_quotes).words()


class _Reader:
    """Reads one text, piece by piece. What is open is a stack of signs that end it, each with whether escapes stay."""

    def __init__(self, text: str, *, raw: bool, quotes: bool) -> None:
        self.text = text
        self.quotes = quotes
        self.at = 0
        self.opened = [(BLANKS, raw)]
        self.word: list[str] = []

    def words(self) -> list[str]:
        found: list[str] = []
        while self.at < len(self.text):
            stop, raw = self.opened[-1]
            if stop == '"':
                self._inside_quotes(raw)
                continue
            blank = _SPACES.match(self.text, self.at) if stop == BLANKS else None
            if blank is None:
                self._outside_quotes(stop, raw)
                continue
            self.at = blank.end()
            if any(self.word):
                found.append("".join(self.word))
                self.word = []
        if len(self.opened) > 1:
            raise ShellWordError(self.opened[-1][0])
        return [*found, "".join(self.word)] if any(self.word) else found

    def _outside_quotes(self, stop: str, raw: bool) -> None:
        text, at = self.text, self.at
        plain = _PLAIN[stop].match(text, at)
        sign = text[at]
        if plain is not None:
            self.at = plain.end()
            self.word.append(plain[0])
        elif sign == stop:
            self.at += 1
            self.word.append(sign)
            self.opened.pop()
            if stop == "/":
                self.opened.append(("}", True))
        elif sign == "$":
            self._dollar()
        elif sign == "'":
            self._single()
        elif sign == '"':
            self.at += 1
            self.opened.append((sign, raw))
            self._quote(sign)
        elif sign == "<":
            match = _AFTER_OPENING.match(text, at)
            self.at = match.end() if match else at + 1
            self.word.append(text[at : self.at])
        else:
            self.at = min(at + (2 if sign == "\\" else 1), len(text))
            self.word.append(text[at + (sign == "\\" and not raw) : self.at])

    def _inside_quotes(self, raw: bool) -> None:
        text, at = self.text, self.at
        plain = _IN_DOUBLE.match(text, at)
        if plain is not None:
            self.word.append(plain[0])
            self.at = plain.end()
            return
        if text[at] == '"':
            self.at += 1
            self.opened.pop()
            self._quote('"')
            return
        if text[at] == "$":
            self._dollar()
            return
        following = text[at + 1 : at + 2]
        if raw:
            self.word.append("\\")
        if following in ('"', "$", "\\"):
            self.word.append(following)
            self.at += 2
        else:  # in the raw form the backslash comes twice then, as with BuildKit: nobody looks at such a word
            self.word.append("\\")
            self.at += 1

    def _quote(self, text: str) -> None:
        self.word.append(text if self.quotes else "")

    def _single(self) -> None:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise ShellWordError("'")
        start, self.at = self.at, end + 1
        self._quote("'")
        self.word.append(self.text[start + 1 : end])
        self._quote("'")

    def _dollar(self) -> None:
        """A variable, or the beginning of one: what follows its operator is read like any other text."""
        text = self.text
        self.at += 1
        if not text.startswith("{", self.at):
            self.word += "$", self._name()
            return
        self.at += 1
        if self.at >= len(text) or text[self.at] in "{}:":
            raise ShellWordError("${")
        name = self._name()
        operator = text[self.at : self.at + 1]
        self.at += 1
        if operator == "/":
            self.at += text.startswith("/", self.at)
            self.opened.append(("/", True))
        elif operator == ":":
            operator += text[self.at : self.at + 1]
            self.at += 1
            if operator in (":#", ":%"):  # what else may follow is looked at for variables with a value only
                raise ShellWordError(operator)
            self.opened.append(("}", False))
        elif operator in ("+", "-", "?", "#", "%"):
            self.opened.append(("}", operator in ("#", "%")))
        elif operator != "}":
            raise ShellWordError(operator)
        self.word += "${", name, operator

    def _name(self) -> str:
        match = _NAME.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]
