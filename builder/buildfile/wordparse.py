"""Words by `word.lark`: quotes, escapes and variables. Plain words take a way around the grammar."""

from __future__ import annotations

import re
from typing import Any

from builder.buildfile.lalr import ParseError
from builder.buildfile.syntax import Literal, Span, Variable, Word

_SPECIAL = {"\\": re.compile(r"[$'\"\\]"), "`": re.compile(r"[$'\"`]")}
_NAME = r"(?:[^\W\d]\w*|\d+|[@*#?\-$!])"
_DEEPEST = 50
_NOWHERE = Span(0, 0, 0, 0)
_BRACES = ("OPEN", "RBRACE", "SLASH")
# What a word without operators and escapes consists of, outside and inside double quotes.
_SIMPLE = re.compile(rf"([^$'\"]++)|'([^']*+)'|\$(?:\{{({_NAME})\}}|({_NAME}))|(\")|(\$)(?!\{{)")
_SIMPLE_INSIDE = re.compile(rf"([^$\"]++)|(?!)(.)|\$(?:\{{({_NAME})\}}|({_NAME}))|(\")|(\$)(?!\{{)")


class WordError(Exception):
    """A word that does not parse: why, and where in the word (characters from its start, and how many)."""

    def __init__(self, message: str, offset: int, length: int = 1, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.length = length
        self.hint = hint


def parse_word(text: str, span: Span, *, escape: str = "\\") -> Word:
    """Parse a word; a `WordError` says what is wrong."""
    if _SPECIAL[escape].search(text) is None:
        return Word((Literal(text),) if text else (), text, span)
    parts = _simple(text) if escape not in text else None
    return Word(_parse(text, "word", escape) if parts is None else parts, text, span)


def parse_body(text: str, span: Span) -> Word:
    """Parse the body of a here-document, in which quotes mean nothing; the escape is always a backslash."""
    if "$" not in text and "\\" not in text:
        return Word((Literal(text),) if text else (), text, span)
    return Word(_parse(text, "body", "\\"), text, span)


def _simple(text: str) -> tuple[Literal | Variable, ...] | None:
    """The parts of a word that has neither escapes nor operators; None for any other: the grammar knows it."""
    found: list[Literal | Variable] = []
    at, pattern, opened = 0, _SIMPLE, 0
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            return None
        plain, single, braced, bare, quote, dollar = match.groups()
        if quote:
            if pattern is _SIMPLE:
                pattern, opened = _SIMPLE_INSIDE, match.end()
            else:
                pattern = _SIMPLE
                if opened == at:
                    found.append(Literal(""))  # an empty pair of quotes makes a word too
        elif braced or bare:
            found.append(Variable(braced or bare))
        else:
            found.append(Literal(plain or single or dollar or ""))
        at = match.end()
    return None if pattern is _SIMPLE_INSIDE else _joined(found)


def _parse(text: str, start: str, escape: str) -> tuple[Literal | Variable, ...]:
    if text.count("${") > _DEEPEST and _depth(text) > _DEEPEST:
        raise WordError(
            f"the variables are nested more than {_DEEPEST} deep", 0, hint="split the value over ARG lines"
        )
    from builder.buildfile.grammar import word_grammar

    try:
        tree = word_grammar(escape).parse(text, start)
    except ParseError as error:
        raise _explain(text, error, start, escape) from None
    if tree.children and getattr(tree.children[-1], "type", "") == "ESCAPE":
        tree.children.pop()  # an escape at the very end escapes nothing and goes
    return _joined(_parts_of(tree))


def _depth(text: str) -> int:
    depth = deepest = 0
    for match in re.finditer(r"\$\{|\}", text):
        depth = depth + 1 if match[0] == "${" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _joined(parts: list[Literal | Variable]) -> tuple[Literal | Variable, ...]:
    """Neighbouring literals as one."""
    found: list[Literal | Variable] = []
    for part in parts:
        if isinstance(part, Literal) and found and isinstance(found[-1], Literal):
            found[-1] = Literal(found[-1].text + part.text)
        else:
            found.append(part)
    return tuple(found)


def _parts_of(tree: Any) -> list[Literal | Variable]:
    """The parts that a tree of `word.lark` stands for."""
    found: list[Literal | Variable] = []
    for child in tree.children:
        kind = getattr(child, "type", None)
        if kind == "VARIABLE":
            found.append(Variable(child[1:]))
        elif kind is not None:
            found.append(Literal(str(child)))
        elif child.data in ("braced", "body_braced"):
            found.append(_variable(child))
        elif child.data == "double":
            child.children = child.children[1:-1]
            found.extend(_parts_of(child) or [Literal("")])  # an empty pair of quotes makes a word too
        elif child.data == "single":
            found.append(Literal("".join(child.children[1:-1])))
        elif child.data == "escaped":
            found.append(Literal(str(child.children[1])))
        else:
            found.append(Literal("".join(child.children)))
    return found


def _variable(tree: Any) -> Variable:
    name, *rest = (part for part in tree.children if getattr(part, "type", "") not in _BRACES)
    if not rest:
        return Variable(str(name))
    operator = str(rest[0])
    words = [Word(_joined(_parts_of(part)), "", _NOWHERE) for part in rest[1:]]
    return Variable(str(name), operator, words[0], words[1] if len(words) > 1 else None)


def _explain(text: str, error: ParseError, start: str, escape: str) -> WordError:
    """What a parser's complaint means to who wrote the word."""
    expected, offset = error.expected, error.at
    opened = max(text.rfind("${", 0, offset + 2), 0)
    if "NAME" in expected:
        return WordError("bad substitution: ${ needs the name of a variable", opened, 2, "write ${NAME}")
    modifier = _BRACED_NAME.match(text, opened)
    if "DEFAULT" in expected and modifier is not None and modifier.end() < len(text):
        at = modifier.end()
        shown = _MODIFIER.match(text, at)
        known = shown[0] if shown else text[at : at + 1]
        hint = "known are :- - :+ + :? ? # ## % %% / //"
        if known.startswith((" ", "\t")):
            return WordError("bad substitution: there is a blank behind the name", at, 1, "write ${NAME}")
        if text.startswith("${#", opened):
            hint = (
                "lengths are not known here; write \\${#…} for the shell"
                if start == "body"
                else "lengths are not known here"
            )
        return WordError(f"unsupported modifier ({known}) in substitution", at, len(known), hint)
    what, at = _unclosed(text, start, escape)
    message, length, hint = _UNCLOSED[what]
    return WordError(message, at, length, hint)


_BRACED_NAME = re.compile(rf"\$\{{{_NAME}")
_MODIFIER = re.compile(r":?[^\w}\s$\"']|:|\w")
_UNCLOSED = {
    "'": (
        "unexpected end of statement while looking for matching single-quote",
        1,
        "close it, or write \\' for the sign itself",
    ),
    '"': (
        "unexpected end of statement while looking for matching double-quote",
        1,
        'close it, or write \\" for the sign itself',
    ),
    "{": (
        "bad substitution: the closing brace } is missing",
        2,
        "close it, or write \\$ for the sign itself",
    ),
    "/": (
        "bad substitution: missing '/' in ${name/pattern/replacement}",
        2,
        "write ${name/pattern/} to replace by nothing",
    ),
}


def _unclosed(text: str, start: str, escape: str) -> tuple[str, int]:
    """What is open at the end of a word, and where it was opened: the innermost, which is what is missing first."""
    stack: list[tuple[str, int]] = []
    at = 0
    while at < len(text):
        inside = stack[-1][0] if stack else ""
        character = text[at]
        if inside == "'":
            if character == "'":
                stack.pop()
        elif character == escape:
            at += 1
        elif text.startswith("${", at):
            match = _BRACED_NAME.match(text, at)
            end = match.end() if match else at + 2
            is_replace = text.startswith("/", end)
            stack.append(("/" if is_replace else "{", at))
            at = end - 1 + is_replace + (is_replace and text.startswith("//", end))
        elif start == "word" and (character == '"' or (character == "'" and inside != '"')):
            if inside == character:
                stack.pop()
            else:
                stack.append((character, at))
        elif character == "/" and inside == "/":
            stack[-1] = ("{", stack[-1][1])
        elif character == "}" and inside == "{":
            stack.pop()
        at += 1
    return stack[-1] if stack else ("{", 0)
