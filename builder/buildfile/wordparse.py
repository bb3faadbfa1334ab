"""Words by `word.lark`: quotes, escapes and variables. Plain words take a way around the grammar."""

from __future__ import annotations

import re
from typing import Any

from builder.buildfile.lalr import ParseError
from builder.buildfile.syntax import Literal, Mark, Part, Span, Variable, Word

_SPECIAL = {"\\": re.compile(r"[$'\"\\]"), "`": re.compile(r"[$'\"`]")}
_NAME = r"(?:[^\W\d]\w*|\d+|[@*#?\-$!])"
_BRACES = ("OPEN", "RBRACE", "SLASH")


def _pieces(escape: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What most words consist of, outside and inside double quotes: text, escapes, variables, `${name:-text}`."""
    sign = re.escape(escape)
    variable = rf"""\$(?:\{{({_NAME})(?:(:?[-+?])([^$'"\\`}}]*+))?\}}|({_NAME}))"""
    rest = rf"{variable}|(\")|(\$)(?!\{{)"
    outside = rf"([^$'\"{sign}]++)|'([^']*+)'|{sign}(.|\Z)|{rest}"
    inside = rf"([^$\"{sign}]++|{sign}(?![$\"{sign}]))|(?!)(.)|{sign}(.)|{rest}"
    return re.compile(outside, re.DOTALL), re.compile(inside, re.DOTALL)


_PIECES = {escape: _pieces(escape) for escape in "\\`"}
_SLASH, _END = Mark("/"), Mark("}")


class WordError(Exception):
    """A word that does not parse: why, and where in the word (characters from its start, and how many).

    `needs_brace` tells that a `${` is never closed.
    """

    def __init__(
        self,
        message: str,
        offset: int,
        length: int = 1,
        hint: str | None = None,
        *,
        needs_brace: bool = False,
    ) -> None:
        super().__init__(message)
        self.needs_brace = needs_brace
        self.message = message
        self.offset = offset
        self.length = length
        self.hint = hint


def parse_word(text: str, span: Span, *, escape: str = "\\") -> Word:
    """Parse a word; a `WordError` says what is wrong."""
    if _SPECIAL[escape].search(text) is None:
        return Word((Literal(text),) if text else (), text, span)
    parts = _simple(text, escape)
    return Word(_parse(text, "word", escape) if parts is None else parts, text, span)


def parse_body(text: str, span: Span) -> Word:
    """Parse the body of a here-document, in which quotes mean nothing; the escape is always a backslash."""
    if "$" not in text and "\\" not in text:
        return Word((Literal(text),) if text else (), text, span)
    return Word(_parse(text, "body", "\\"), text, span)


def _simple(text: str, escape: str) -> tuple[Part, ...] | None:
    """The parts of a word without patterns and nested braces; None for any other, which the grammar knows."""
    found: list[Part] = []
    outside, inside = _PIECES[escape]
    at, pattern, opened = 0, outside, 0
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            return None
        plain, single, escaped, braced, operator, argument, bare, quote, dollar = match.groups()
        if quote:
            if pattern is outside:
                pattern, opened = inside, match.end()
            else:
                pattern = outside
                if opened == at:
                    found.append(Literal(""))  # an empty pair of quotes makes a word too
        elif operator:
            found.append(Variable(braced, operator))
            if argument:
                found.append(Literal(argument))
            found.append(_END)
        elif braced or bare:
            found.append(Variable(braced or bare))
        elif escaped != "":  # an escape at the very end escapes nothing and goes
            found.append(Literal(plain or single or escaped or dollar or ""))
        at = match.end()
    return None if pattern is inside else _joined(found)


def _parse(text: str, start: str, escape: str) -> tuple[Part, ...]:
    from builder.buildfile.grammar import word_grammar

    try:
        tree = word_grammar(escape).parse(text, start)
    except ParseError as error:
        raise _explain(text, error, start, escape) from None
    if tree.children and getattr(tree.children[-1], "type", "") == "ESCAPE":
        tree.children.pop()  # an escape at the very end escapes nothing and goes
    return _joined(_parts_of(tree))


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Neighbouring literals as one."""
    found: list[Part] = []
    texts: list[str] = []
    for part in (*parts, None):
        if isinstance(part, Literal):
            texts.append(part.text)
            continue
        if texts:
            found.append(Literal("".join(texts)))
            texts = []
        if part is not None:
            found.append(part)
    return tuple(found)


def _parts_of(tree: Any) -> list[Part]:
    """The parts that a tree of `word.lark` stands for. Trees may be deep, so that no call goes down in them."""
    found: list[Part] = []
    todo = tree.children[::-1]  # what comes next is the last
    while todo:
        child = todo.pop()
        kind = getattr(child, "type", None)
        if kind == "VARIABLE":
            found.append(Variable(child[1:]))
        elif kind is not None:
            found.append(Literal(str(child)))
        elif isinstance(child, Part):
            found.append(child)
        elif child.data in ("braced", "body_braced"):
            todo += reversed(_opened(child))
        elif child.data == "double":
            todo += child.children[-2:0:-1] or [Literal("")]  # an empty pair of quotes makes a word too
        elif child.data == "single":
            found.append(Literal("".join(child.children[1:-1])))
        elif child.data == "escaped_one":
            found.append(Literal(str(child.children[0])[1:]))
        elif child.data == "escaped":
            found.append(Literal(str(child.children[1])))
        else:
            found.append(Literal("".join(child.children)))
    return found


def _opened(tree: Any) -> list[Any]:
    """What `${…}` consists of, its trees not yet looked into."""
    name, *rest = (part for part in tree.children if getattr(part, "type", "") not in _BRACES)
    if not rest:
        return [Variable(str(name))]
    operator, argument, *replacement = rest
    found = [Variable(str(name), str(operator)), *argument.children]
    for part in replacement:
        found += [_SLASH, *part.children]
    return [*found, _END]


def _explain(text: str, error: ParseError, start: str, escape: str) -> WordError:
    """What a parser's complaint means to who wrote the word."""
    expected, offset = error.expected, error.at
    opened = max(text.rfind("${", 0, offset + 2), 0)
    if "NAME" in expected:
        return WordError("bad substitution: ${ needs the name of a variable", opened, 2, "write ${NAME}")
    modifier = _BRACED_NAME.match(text, opened)
    if "DEFAULT" in expected and modifier is not None:
        at = modifier.end()
        if text[opened + 2] in "#!" and _WORD_SIGN.match(text, at):
            hint = "a shell knows it: write it in RUN"
            return WordError(
                f"bad substitution: ${{{text[opened + 2]}…}} is not known in build files", opened, 3, hint
            )
        shown = _MODIFIER.match(text, at)
        if shown is not None:
            hint = _SUGGESTED.get(shown[0], "known are :- - :+ + :? ? # ## % %% / //")
            return WordError(f"unsupported modifier ({shown[0]}) in substitution", at, len(shown[0]), hint)
    what, at = _unclosed(text, start, escape)
    message, length, hint = _UNCLOSED[what]
    return WordError(message, at, length, hint, needs_brace=what == "{")


_BRACED_NAME = re.compile(rf"\$\{{{_NAME}")
_WORD_SIGN = re.compile(r"\w")
_MODIFIER = re.compile(r""":[^}\s]?|[^\w}\s$"']{1,2}|\w""")
_CASES = "a shell changes the case of letters: write it in RUN"
_SUGGESTED = {
    ":=": "did you mean :-?",
    "=": "did you mean -?",
    "^^": _CASES,
    "^": _CASES,
    ",,": _CASES,
    ",": _CASES,
}
_SUGGESTED |= {f":{digit}": "parts are cut off with # and % only" for digit in "0123456789"}
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


_OPERATORS = tuple(":-+?#%/}")


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
            if text[end : end + 1] not in _OPERATORS:
                return "{", at
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
