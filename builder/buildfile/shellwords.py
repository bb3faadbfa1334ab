"""Shell words as BuildKit's lexer finds them when it looks for here-documents: the escape is a backslash, no
variable has a value, and what is unset stays as it is written.
"""

from __future__ import annotations

import re

from builder.buildfile.blanks import ANY_BLANK, BLANKS

_PLAIN = re.compile(rf"[^$<'\"\\{BLANKS}]+")
_SPACES = re.compile(f"{ANY_BLANK}+")
_NAME = re.compile(r"[0-9]+|[^\W\d]\w*|[@*#?\-$!]")
_IN_DOUBLE = re.compile(r"[^\"$\\]+")
_AFTER_OPENING = re.compile(r"<<[\t\r ]*")
_DEEPEST = 50


class ShellWordError(ValueError):
    """The text is no list of words: a quote or brace is open, or a `${…}` is of no known form."""


def shell_words(text: str, *, raw: bool, keep_quotes: bool = False) -> list[str]:
    """The words of a text; with `raw` their quotes and escapes stay, with `keep_quotes` their quotes.

    Raises `ShellWordError`.
    """
    return _Reader(text, raw=raw, quotes=raw or keep_quotes).words()


class _Reader:
    def __init__(self, text: str, *, raw: bool, quotes: bool) -> None:
        self.text = text
        self.raw = raw
        self.quotes = quotes
        self.at = 0
        self.depth = 0

    def words(self) -> list[str]:
        found: list[str] = []
        word: list[str] = []
        while self.at < len(self.text):
            blank = _SPACES.match(self.text, self.at)
            if blank is None:
                word.append(self._part(self.raw))
                continue
            self.at = blank.end()
            if any(word):
                found.append("".join(word))
                word = []
        return [*found, "".join(word)] if any(word) else found

    def _part(self, raw: bool) -> str:
        """The next piece of a word, outside quotes."""
        text, at = self.text, self.at
        plain = _PLAIN.match(text, at)
        if plain is not None:
            self.at = plain.end()
            return plain[0]
        sign = text[at]
        if sign == "$":
            return self._dollar()
        if sign == "'":
            return self._single()
        if sign == '"':
            return self._double(raw)
        if sign == "<":
            match = _AFTER_OPENING.match(text, at)
            self.at = match.end() if match else at + 1
            return match[0] if match else "<"
        self.at = min(at + (2 if sign == "\\" else 1), len(text))
        if sign == "\\" and not raw:
            return text[at + 1 : self.at]
        return text[at : self.at]

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise ShellWordError("'")
        start, self.at = self.at, end + 1
        return self.text[start : end + 1] if self.quotes else self.text[start + 1 : end]

    def _double(self, raw: bool) -> str:
        text = self.text
        self.at += 1
        found = ['"'] if self.quotes else []
        while self.at < len(text):
            plain = _IN_DOUBLE.match(text, self.at)
            if plain is not None:
                found.append(plain[0])
                self.at = plain.end()
                continue
            sign = text[self.at]
            if sign == '"':
                self.at += 1
                return "".join([*found, '"'] if self.quotes else found)
            if sign == "$":
                found.append(self._dollar())
                continue
            following = text[self.at + 1 : self.at + 2]
            if raw:
                found.append("\\")
            if following in ('"', "$", "\\"):
                found.append(following)
                self.at += 2
            else:  # in the raw form the backslash comes twice then, as with BuildKit: nobody looks at such a word
                found.append("\\")
                self.at += 1
        raise ShellWordError('"')

    def _dollar(self) -> str:
        text = self.text
        self.at += 1
        if not text.startswith("{", self.at):
            name = self._name()
            return f"${name}"
        self.at += 1
        if self.at >= len(text) or text[self.at] in "{}:":
            raise ShellWordError("${")
        name = self._name()
        operator = text[self.at : self.at + 1]
        self.at += 1
        if operator == "}":
            return f"${{{name}}}"
        if operator == "/":
            self.at += text.startswith("/", self.at)
            pattern = self._until("/", raw=True)
            return f"${{{name}/{pattern}/{self._until('}', raw=True)}}}"
        if operator == ":":
            operator += text[self.at : self.at + 1]
            self.at += 1
            if operator in (":#", ":%"):  # what else may follow is looked at for variables with a value only
                raise ShellWordError(operator)
        elif operator not in ("+", "-", "?", "#", "%"):
            raise ShellWordError(operator)
        return f"${{{name}{operator}{self._until('}', raw=operator in ('#', '%'))}}}"

    def _name(self) -> str:
        match = _NAME.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def _until(self, stop: str, *, raw: bool) -> str:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ShellWordError("nested too deeply")
        found: list[str] = []
        while self.at < len(self.text):
            if self.text[self.at] == stop:
                self.at += 1
                self.depth -= 1
                return "".join(found)
            blank = _SPACES.match(self.text, self.at)
            if blank is not None:
                found.append(blank[0])
                self.at = blank.end()
                continue
            plain = _PLAIN.match(self.text, self.at)
            if plain is not None and stop in plain[0]:
                end = self.text.index(stop, self.at)
                found.append(self.text[self.at : end])
                self.at = end
                continue
            found.append(self._part(raw))
        raise ShellWordError(stop)
