"""Our run of Lark's tables against Lark itself: the same trees, the same texts refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lark.exceptions import UnexpectedInput

from builder.buildfile.lalr import ParseError, Parser
from builder.grammar import build_tables

STARTS = [(name, start) for name, starts in build_tables.GRAMMARS.items() for start in starts]
ESCAPES = list(build_tables.ESCAPES)
LARKS = {
    (name, escape): build_tables.lark_parser(name, escape)
    for name in build_tables.GRAMMARS
    for escape in ESCAPES
}
OURS = {key: Parser(build_tables.make_tables(*key)) for key in LARKS}

_PIECES = st.sampled_from(
    [
        "$",
        "${",
        "}",
        "a",
        "a1",
        "_b",
        ":-",
        "-",
        "+",
        ":?",
        "#",
        "##",
        "%",
        "%%",
        "/",
        "//",
        "'",
        '"',
        "\\",
        "`",
        " ",
        "\t",
    ]
    + ["--x=1", "--", "RUN", ",", "=", '""', "\u3000", "é", "\n", "[", "$a", "${a}", "${a:-b}", "${a/b/c}"]
)
_TEXTS = st.lists(_PIECES, max_size=12).map("".join)


def plain(tree: Any) -> Any:
    """A tree of either parser as lists."""
    if isinstance(tree, str):
        return [tree.type, tree.start_pos, str(tree)]  # type: ignore[attr-defined]
    return [str(tree.data), [plain(child) for child in tree.children]]


@settings(max_examples=600)
@given(st.sampled_from(STARTS), st.sampled_from(ESCAPES), _TEXTS)
@example(("word", "word"), "\\", '${a:-${b:-"c\'d"}}\\')
@example(("buildfile", "line"), "`", 'COPY --a="b c" -- --d')
def test_trees_are_those_of_lark(start: tuple[str, str], escape: str, text: str) -> None:
    name, rule = start
    try:
        expected = plain(LARKS[name, escape].parse(text, start=rule))
    except UnexpectedInput as error:
        with pytest.raises(ParseError) as caught:
            OURS[name, escape].parse(text, rule)
        place = error.pos_in_stream
        assert place is None or place < 0 or caught.value.at in (place, len(text))
        assert caught.value.expected or not text
        return
    assert plain(OURS[name, escape].parse(text, rule)) == expected


def test_tables_of_other_grammars_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "a${b:-c}\\d"
    expected = plain(LARKS["word", "\\"].parse(text, start="word"))
    path = tmp_path / "tables.json"
    monkeypatch.setattr(build_tables, "TABLES", str(path))
    for kept in (None, "", "{}", "[]", "null", json.dumps({"digest": 1, "word\\": "{}"})):
        if kept is not None:
            path.write_text(kept)
        assert plain(Parser(build_tables.load_tables("word", "\\")).parse(text, "word")) == expected
    build_tables.main()
    monkeypatch.setattr(build_tables, "make_tables", None)
    assert plain(Parser(build_tables.load_tables("word", "\\")).parse(text, "word")) == expected


def test_the_tables_are_there() -> None:
    assert os.path.exists(build_tables.TABLES), "make setup makes them"
