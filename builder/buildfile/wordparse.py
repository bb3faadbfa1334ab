"""Words by `word.lark`: quotes, escapes and variables. Plain words take a way around the grammar."""

from __future__ import annotations

import re
from typing import Any

from builder.buildfile.syntax import Literal, Span, Variable, Word

_SPECIAL = {"\\": re.compile(r"[$'\"\\]"), "`": re.compile(r"[$'\"`]")}
_DEEPEST = 50
_NOWHERE = Span(0, 0, 0, 0)
_BRACES = ("OPEN", "RBRACE", "SLASH")


class WordError(Exception):
    """A word that does not parse: why, and where in the word (characters from its start)."""

    def __init__(self, message: str, offset: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


def parse_word(text: str, span: Span, *, escape: str = "\\") -> Word:
    """Parse a word; a `WordError` says what is wrong."""
    if _SPECIAL[escape].search(text) is None:
        return Word((Literal(text),) if text else (), text, span)
    return Word(_parse(text, "word", escape), text, span)


def parse_body(text: str, span: Span) -> Word:
    """Parse the body of a here-document, in which quotes mean nothing; the escape is always a backslash."""
    if "$" not in text and "\\" not in text:
        return Word((Literal(text),) if text else (), text, span)
    return Word(_parse(text, "body", "\\"), text, span)


def _parse(text: str, start: str, escape: str) -> tuple[Literal | Variable, ...]:
    if text.count("${") > _DEEPEST and _depth(text) > _DEEPEST:
        raise WordError(
            f"the variables are nested more than {_DEEPEST} deep", 0, "split the value over ARG lines"
        )
    from lark.exceptions import UnexpectedInput

    from builder.buildfile.grammar import word_grammar

    try:
        tree = word_grammar(escape).parse(text, start=start)
    except UnexpectedInput as error:
        raise _explain(text, error, escape) from None
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
        elif child.data == "braced":
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


def _explain(text: str, error: Any, escape: str) -> WordError:
    """What a parser's complaint means to who wrote the word."""
    expected = set(getattr(error, "accepts", None) or getattr(error, "expected", None) or ())
    offset = getattr(error, "pos_in_stream", None)
    offset = len(text) if offset is None or offset < 0 else offset
    opened = max(text.rfind("${", 0, offset + 2), 0)
    if "NAME" in expected:
        return WordError("bad substitution: ${ needs the name of a variable", opened, "write ${NAME}")
    modifier = _BRACED_NAME.match(text, opened)
    if "DEFAULT" in expected and modifier is not None and modifier.end() < len(text):
        return WordError(
            f"unsupported modifier ({text[modifier.end() : modifier.end() + 2]}) in substitution",
            modifier.end(),
            "known are :- - :+ + :? ? # ## % %% / //",
        )
    what, at = _unclosed(text, escape)
    return WordError(_UNCLOSED[what], at)


_BRACED_NAME = re.compile(r"\$\{(?:[^\W\d]\w*|\d+|[@*#?\-$!])")
_UNCLOSED = {
    "'": "unexpected end of statement while looking for matching single-quote",
    '"': "unexpected end of statement while looking for matching double-quote",
    "{": "bad substitution: the closing brace } is missing",
    "/": "bad substitution: missing '/' in ${name/pattern/replacement}",
}


def _unclosed(text: str, escape: str) -> tuple[str, int]:
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
        elif character == '"' or (character == "'" and inside != '"'):
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
