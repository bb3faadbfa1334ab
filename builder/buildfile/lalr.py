"""Runs the LALR tables that Lark makes of the grammars: contextual lexer, parser, and trees like Lark's.

A terminal is only looked for where the parser can take it, which is what Lark's contextual lexer does. See Aho, Lam, Sethi,
Ullman, Compilers (2nd edition), 4.5 and 4.7, for shift-reduce parsing and LALR tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

END = "$END"


class Token(str):
    """A piece of the text: the terminal that it is, and where it begins."""

    __slots__ = ("start_pos", "type")
    type: str
    start_pos: int


class Tree:
    """A rule's name and its children."""

    __slots__ = ("children", "data")

    def __init__(self, data: str, children: list[Any]) -> None:
        self.data = data
        self.children = children


class Inlined(Tree):
    """Children that stand for their rule in the tree above."""

    __slots__ = ()


class ParseError(Exception):
    """A text that the grammar does not have: where it goes wrong, and the terminals that could stand there."""

    def __init__(self, at: int, expected: frozenset[str]) -> None:
        super().__init__(f"unexpected text at {at}")
        self.at = at
        self.expected = expected


class Parser:
    """One grammar's parser. Its tables are those of `grammar/build_tables.py`."""

    def __init__(self, tables: dict[str, Any]) -> None:
        self._states: list[dict[str, int]] = tables["states"]
        self._terminals: list[list[list[str]]] = tables["scanners"]
        self._rules: list[tuple[str, int, str | None, list[int], bool]] = tables["rules"]
        self._starts: dict[str, int] = tables["starts"]
        self._ends: dict[str, int] = tables["ends"]
        self._ignored = frozenset(tables["ignored"])
        self._scanners: list[Callable[[str, int], re.Match[str] | None] | None] = [None] * len(self._states)

    def parse(self, text: str, start: str) -> Tree:
        """The tree of a text under a start rule, or a `ParseError`."""
        states = [self._starts[start]]
        values: list[Any] = []
        tables, end, at = self._states, self._ends[start], 0
        size = len(text)
        while True:
            match = None
            while at < size:
                state = states[-1]
                match = (self._scanners[state] or self._scanner(state))(text, at)
                if match is None:
                    raise ParseError(at, self._expected(states))
                if match.lastgroup not in self._ignored:
                    break
                at, match = match.end(), None
            kind = END if match is None else match.lastgroup or ""
            while True:
                action = tables[states[-1]].get(kind)
                if action is None:
                    raise ParseError(at, self._expected(states))
                if action >= 0:
                    break
                self._reduce(self._rules[-1 - action], states, values)
                if kind == END and states[-1] == end:
                    found: Tree = values[-1]
                    return found
            if match is None:
                raise ParseError(at, self._expected(states))
            token = Token(match[0])
            token.type, token.start_pos = kind, at
            at = match.end()
            states.append(action)
            values.append(token)

    def _reduce(
        self, rule: tuple[str, int, str | None, list[int], bool], states: list[int], values: list[Any]
    ) -> None:
        origin, length, name, kept, single = rule
        children: list[Any] = []
        if length:
            parts = values[-length:]
            del values[-length:], states[-length:]
            for place in kept:
                part = parts[place]
                if type(part) is not Inlined:
                    children.append(part)
                elif children:
                    children += part.children
                else:  # nobody else has its list: repetitions grow in place
                    children = part.children
        values.append(
            Inlined("", children)
            if name is None
            else children[0]
            if single and len(children) == 1
            else Tree(name, children)
        )
        states.append(self._states[states[-1]][origin])

    def _scanner(self, state: int) -> Callable[[str, int], re.Match[str] | None]:
        """The lexer of a state, made when first needed: many are never."""
        pattern = "|".join(f"(?P<{name}>{text})" for name, text in self._terminals[state])
        found = self._scanners[state] = re.compile(pattern).match
        return found

    def _expected(self, states: list[int]) -> frozenset[str]:
        """The terminals that the parser could take here in the end."""
        names = (name for name in self._states[states[-1]] if name.isupper() or name == END)
        return frozenset(name for name in names if self._takes(states, name))

    def _takes(self, states: list[int], name: str) -> bool:
        stack = list(states)
        while True:
            action = self._states[stack[-1]].get(name)
            if action is None:
                return False
            if action >= 0:
                return True
            origin, length, *_ = self._rules[-1 - action]
            if length:
                del stack[-length:]
            following = self._states[stack[-1]].get(origin)
            if following is None:
                return name == END
            stack.append(following)
            if name == END and stack[-1] in self._ends.values():
                return True
