"""Shell text as a list of its commands: enough to see what a RUN line calls with which words.

This is no shell: what it cannot follow (arithmetic, `case` patterns, process substitution) it passes over. All
commands are found, also those within `$(…)`, backquotes, subshells, loops and conditions.
"""

from __future__ import annotations

from builder.value import dataclass, field, replace

_BEFORE_COMMANDS = frozenset(("if", "then", "else", "elif", "while", "until", "do", "!", "{", "time"))
_CLOSING = frozenset(("fi", "done", "esac", "}"))
# What stands where a command's name does and is none; `${}` is the output of another command.
_NO_COMMANDS = frozenset(("", "${}", "for", "case", "select", "function", "in"))
_BLANKS = " \t\r"
_ENDS = ";&|\n()"
_DEEPEST = 40


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """One command: its name and arguments without quotes, `$name` and `${name}` left as they are.

    `start` and `end` are where it stands in the text. `assigned` are the variables set in front of it.
    `piped` says that its output goes into another command.
    """

    name: str
    args: tuple[str, ...]
    start: int
    end: int
    assigned: tuple[str, ...] = ()
    piped: bool = False

    def has(self, *words: str) -> bool:
        """Whether one of its arguments is one of the words."""
        return any(arg in words for arg in self.args)

    def flags(self) -> tuple[str, ...]:
        """The flags without dashes: `--name=value` is `name`, `-xy` are `x` and `y`."""
        found: list[str] = []
        for arg in self.args:
            if arg.startswith("--"):
                found += [arg[2:].partition("=")[0]] if len(arg) > 2 else []
            elif arg.startswith("-"):
                found += arg[1:]
        return tuple(found)

    def has_flag(self, *names: str) -> bool:
        """Whether it has one of the flags, short or long, named without dashes."""
        return not set(names).isdisjoint(self.flags())

    def plain(self, *valued: str) -> tuple[str, ...]:
        """The arguments that are no flags, nor the values of the flags `valued` (named without dashes)."""
        found = []
        skip = False
        for arg in self.args:
            if skip:
                skip = False
            elif arg.startswith("-") and arg != "-":
                names = [arg[2:]] if arg.startswith("--") else list(arg[1:])
                # Only the last of several short flags takes the next word.
                skip = bool(names) and names[-1] in valued
            else:
                found.append(arg)
        return tuple(found)

    def value(self, *names: str) -> str | None:
        """The value of a flag: the next word, or what follows `=`."""
        for index, arg in enumerate(self.args):
            name, mark, value = arg.partition("=")
            if arg.startswith("--"):
                if name[2:] in names:
                    return value if mark else next(iter(self.args[index + 1 :]), None)
            elif arg.startswith("-") and arg[-1:] in names and len(arg) > 1:
                return next(iter(self.args[index + 1 :]), None)
        return None


def commands_of(text: str) -> tuple[ShellCommand, ...]:
    """All commands of a text, in the order in which they begin."""
    reader = _Reader(text)
    reader.read(0, 0)
    return tuple(sorted(reader.found, key=lambda command: command.start))


@dataclass(slots=True)
class _Word:
    text: str
    start: int
    end: int
    quoted: bool


@dataclass(slots=True)
class _Reader:
    text: str
    found: list[ShellCommand] = field(default_factory=list)
    skip_bodies: list[str] = field(default_factory=list)

    def read(self, at: int, depth: int, closing: str = "") -> int:
        """Read commands until `closing` or the end; where that is."""
        words: list[_Word] = []
        text = self.text
        while at < len(text):
            sign = text[at]
            if sign in _BLANKS:
                at += 1
            elif text.startswith("\\\n", at):
                at += 2
            elif sign == "#" and (at == 0 or text[at - 1] in " \t\n;&|("):
                at = _line_end(text, at)
            elif sign == closing:
                self._finish(words, piped=False)
                return at + 1
            elif sign in _ENDS:
                at = self._end(words, at, depth)
            elif (redirected := self._redirection(at, depth)) > at:
                at = redirected
            else:
                word, at = self._word(at, depth, closing)
                words.append(word)
                if not word.quoted and len(words) == 1 and word.text in _BEFORE_COMMANDS:
                    words.clear()
        self._finish(words, piped=False)
        return at

    def _end(self, words: list[_Word], at: int, depth: int) -> int:
        """What ends a command: `;`, `&`, `&&`, `|`, `||`, a line's end, a bracket."""
        text = self.text
        sign = text[at]
        double = text.startswith(sign * 2, at)
        self._finish(words, piped=sign == "|" and not double)
        if sign == "\n":
            return self._bodies(at + 1)
        if sign == "(" and depth < _DEEPEST:
            if double:  # arithmetic
                end = text.find("))", at)
                return len(text) if end < 0 else end + 2
            return self.read(at + 1, depth + 1, ")")
        return at + (2 if double and sign != ";" else 1)

    def _finish(self, words: list[_Word], *, piped: bool) -> None:
        """Take the words as a command."""
        assigned = []
        rest = list(words)
        words.clear()
        while rest and _assignment(rest[0]):
            assigned.append(rest.pop(0).text)
        if rest and rest[0].text in _CLOSING and not rest[0].quoted:
            return
        if rest and rest[0].text not in _NO_COMMANDS:
            self.found.append(
                ShellCommand(
                    rest[0].text,
                    tuple(word.text for word in rest[1:]),
                    rest[0].start,
                    rest[-1].end,
                    tuple(assigned),
                    piped,
                )
            )

    def _redirection(self, at: int, depth: int) -> int:
        """Behind `>file`, `2>&1`, `<<EOF` and the like; `at` itself if there is none."""
        text = self.text
        here = at
        while here < len(text) and text[here].isdigit():
            here += 1
        if text.startswith("&>", here):
            here += 1
        if text[here : here + 1] not in ("<", ">"):
            return at
        if text[here + 1 : here + 2] == "(":  # process substitution
            return self.read(here + 2, depth + 1, ")") if depth < _DEEPEST else len(text)
        mark = here
        while text[here : here + 1] in ("<", ">", "&", "|") and here < len(text):
            here += 1
        operator = text[mark:here]
        if operator == "<<" and text[here : here + 1] == "-":
            here += 1
        while text[here : here + 1] in (" ", "\t") and here < len(text):
            here += 1
        if here < len(text) and text[here] not in _ENDS:
            word, here = self._word(here, depth, "")
            if operator == "<<":
                self.skip_bodies.append(word.text)
        return here

    def _bodies(self, at: int) -> int:
        """Behind the here-documents that the line before has opened."""
        for name in self.skip_bodies:
            while at < len(self.text):
                end = _line_end(self.text, at)
                line = self.text[at:end].strip("\t\r")
                at = end + 1
                if line == name:
                    break
        self.skip_bodies.clear()
        return min(at, len(self.text))

    def _word(self, at: int, depth: int, closing: str) -> tuple[_Word, int]:
        text = self.text
        start = at
        parts: list[str] = []
        quoted = False
        while at < len(text):
            sign = text[at]
            if sign in _BLANKS or sign in _ENDS or sign == closing or (sign in "<>" and at > start):
                break
            if sign == "\\":
                if text[at + 1 : at + 2] != "\n":
                    parts.append(text[at + 1 : at + 2])
                    quoted = True
                at += 2
            elif sign == "'":
                end = text.find("'", at + 1)
                end = len(text) if end < 0 else end
                parts.append(text[at + 1 : end])
                quoted, at = True, end + 1
            elif sign == '"':
                quoted = True
                at = self._double(at + 1, parts, depth)
            elif sign in "$`":
                at = self._dollar(at, parts, depth)
            else:
                parts.append(sign)
                at += 1
        return _Word("".join(parts), start, min(at, len(text)), quoted), at

    def _double(self, at: int, parts: list[str], depth: int) -> int:
        """The rest of a text in double quotes; where it ends."""
        text = self.text
        while at < len(text) and text[at] != '"':
            sign = text[at]
            if sign == "\\" and text[at + 1 : at + 2] in ('"', "\\", "$", "`", "\n"):
                parts.append(text[at + 1].replace("\n", ""))
                at += 2
            elif sign in "$`":
                at = self._dollar(at, parts, depth)
            else:
                parts.append(sign)
                at += 1
        return at + 1

    def _dollar(self, at: int, parts: list[str], depth: int) -> int:
        """A substitution: of a command its commands are read, of a variable the name is kept."""
        text = self.text
        if text[at] == "`":
            end = text.find("`", at + 1)
            end = len(text) if end < 0 else end
            if depth < _DEEPEST:
                self._inner(at + 1, end, depth)
            parts.append("${}")
            return end + 1
        if text.startswith("$((", at):
            end = text.find("))", at)
            parts.append("${}")
            return len(text) if end < 0 else end + 2
        if text.startswith("$(", at):
            parts.append("${}")
            return self.read(at + 2, depth + 1, ")") if depth < _DEEPEST else len(text)
        if text.startswith("${", at):
            end = text.find("}", at)
            end = len(text) if end < 0 else end + 1
            parts.append(text[at:end])
            return end
        parts.append("$")
        return at + 1

    def _inner(self, start: int, end: int, depth: int) -> None:
        """The commands of a part of the text."""
        inner = _Reader(self.text[start:end])
        inner.read(0, depth + 1)
        self.found += [
            replace(command, start=command.start + start, end=command.end + start) for command in inner.found
        ]


def _assignment(word: _Word) -> bool:
    name, mark, _ = word.text.partition("=")
    return bool(mark) and name.isidentifier()


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
