"""The build script of the parsers: Lark turns each grammar into LALR tables, which `builder.buildfile.lalr` runs.

Lark itself takes longer to start than most builds take in all, so that it works when the program is built: `setup.py` and
`scripts/setup` run this file, and what it writes (`tables.json`) is a build product like the C core. Where it is missing
or of other grammars, the tables are made at run time, by the same function.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

HERE = os.path.dirname(os.path.realpath(__file__))
TABLES = os.path.join(HERE, "tables.json")
FORM = 1

# Blanks as the official parser takes them: the white space of Unicode.
BLANKS = (
    r"\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    r"\u2028\u2029\u202f\u205f\u3000"
)
GRAMMARS = {"buildfile": ("line", "pairs", "fields"), "word": ("word", "body")}
ESCAPES = {"\\": r"\\", "`": "`"}


def digest() -> int:
    """A number that changes with the grammars and with the form of the tables."""
    return zlib.crc32("".join(map(_grammar, GRAMMARS)).encode() + BLANKS.encode(), FORM)


def load_tables(name: str, escape: str) -> dict[str, Any]:
    """The tables of one parser: those made when the program was built, or made now."""
    try:
        with open(TABLES, "rb") as stream:
            kept = json.load(stream)
        if kept["digest"] == digest():
            tables: dict[str, Any] = json.loads(kept[name + escape])
            return tables
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return make_tables(name, escape)


def _grammar(name: str) -> str:
    with open(os.path.join(HERE, f"{name}.lark"), encoding="utf-8") as stream:
        return stream.read()


def lark_parser(name: str, escape: str) -> Any:
    """Lark's own parser of a grammar, for one escape character."""
    from lark import Lark

    return Lark(
        # Inside a class and outside: both escape characters need no more than a backslash in front.
        _grammar(name).replace("%E%", ESCAPES[escape]).replace("%B%", BLANKS),
        start=list(GRAMMARS[name]),
        parser="lalr",
        lexer="contextual",
        maybe_placeholders=False,
    )


def make_tables(name: str, escape: str) -> dict[str, Any]:
    """The tables of one parser, as plain data."""
    lark = lark_parser(name, escape)
    table = lark.parser.parser._parse_table
    rules: list[Any] = []
    states = {
        state: {symbol: _action(action, rules) for symbol, action in actions.items()}
        for state, actions in table.states.items()
    }
    scanners = {}
    for state, lexer in lark.parser.lexer.lexers.items():
        lexer.scanner  # noqa: B018  makes the call-backs
        assert not lexer.callback, "a text that two terminals match alike would need a call-back"
        assert lexer.g_regex_flags == 0
        scanners[state] = [(terminal.name, terminal.pattern.to_regexp()) for terminal in lexer.terminals]
    return {
        "states": [states[state] for state in range(len(states))],
        "scanners": [scanners[state] for state in range(len(states))],
        "ignored": sorted(lark.ignore_tokens),
        "starts": dict(table.start_states),
        "ends": dict(table.end_states),
        "rules": [_rule(rule) for rule in rules],
    }


def _action(action: tuple[Any, Any], rules: list[Any]) -> int:
    """Shift to state n as n, reduce by rule n as -1 - n."""
    kind, argument = action
    if str(kind) == "Shift":
        return int(argument)
    if argument not in rules:
        rules.append(argument)
    return -1 - rules.index(argument)


def _rule(rule: Any) -> list[Any]:
    """Its symbol, its length, what its tree is called (nothing: its children stand for it), which children stay, whether a
    single child stands for the tree.
    """
    origin = str(rule.origin.name)
    keep_all = rule.options.keep_all_tokens
    kept = [
        place
        for place, symbol in enumerate(rule.expansion)
        if keep_all or not getattr(symbol, "filter_out", False)
    ]
    inlined = origin.startswith("_")
    name = None if inlined else str(rule.alias or origin)
    return [origin, len(rule.expansion), name, kept, bool(rule.options.expand1 and not rule.alias)]


def main() -> None:
    """Write the tables, each as a text of its own, so that nobody reads more than he needs."""
    made = {
        name + escape: json.dumps(make_tables(name, escape), separators=(",", ":"))
        for name in GRAMMARS
        for escape in ESCAPES
    }
    with open(TABLES, "w", encoding="utf-8") as stream:
        json.dump({"digest": digest(), **made}, stream)


if __name__ == "__main__":
    main()
