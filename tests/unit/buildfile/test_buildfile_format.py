"""The one form of build files: what changes, and what never does."""

from pathlib import Path

import pytest

from builder.buildfile.format import format_text, same_meaning
from builder.buildfile.parse import parse
from builder.errors import BuildFileError

CORPUS = sorted((Path(__file__).parent.parent.parent / "corpus").glob("*.Buildfile"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_corpus_keeps_its_meaning_and_its_form(path):
    text = path.read_bytes()
    try:
        before = parse(text, "f")
    except BuildFileError:
        with pytest.raises(BuildFileError):
            format_text(text, "f")
        return
    once = format_text(text, "f")
    assert same_meaning(before, parse(once, "f"))
    assert format_text(once, "f") == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from a as b\nrun x\n", "FROM a AS b\nRUN x\n"),
        ("  FROM a  \n\tRUN x \t\n", "FROM a\nRUN x\n"),
        ("FROM a\n\n\n\nRUN x\n\n\n", "FROM a\n\nRUN x\n"),
        ("FROM a", "FROM a\n"),
        ("FROM a\nRUN x\nFROM b\n# c\n#d\nFROM c\n", "FROM a\nRUN x\n\nFROM b\n\n# c\n#d\nFROM c\n"),
        ("# top\nFROM a\n", "# top\nFROM a\n"),
        ("ARG A\nFROM a\n", "ARG A\nFROM a\n"),
        ("FROM a\nENV A=1 \\\n  B=2 \\  \n\tC=3\n", "FROM a\nENV A=1 \\\n    B=2 \\\n    C=3\n"),
        ('FROM a\nENV A="1 \\\n  2" \\\n  B=3\n', 'FROM a\nENV A="1 \\\n  2" \\\n    B=3\n'),
        ("FROM a\nENV A=1\\\n2 \\\n B=3\n", "FROM a\nENV A=1\\\n2 \\\n    B=3\n"),
        ("FROM a\nRUN a \\\n  && b \\   \n && c\n", "FROM a\nRUN a \\\n  && b \\\n && c\n"),
        (
            "FROM a\nRUN --network=none \\\n  --mount=type=tmpfs,target=/x \\\n  a \\\n b\n",
            "FROM a\nRUN --network=none \\\n    --mount=type=tmpfs,target=/x \\\n    a \\\n b\n",
        ),
        ("FROM a\nCOPY a \\\n# c  \n\n\n  b c/\n", "FROM a\nCOPY a \\\n# c\n\n    b c/\n"),
        ("FROM a\nrun <<EOF\n from b  \n\n\nEOF\n", "FROM a\nRUN <<EOF\n from b  \n\n\nEOF\n"),
        ("FROM a\nenv A b\nlabel a b c\n", "FROM a\nENV A=b\nLABEL a b c\n"),
        ('FROM a\nENV A = b\nENV A "b"\nENV A $b\n', 'FROM a\nENV A = b\nENV A "b"\nENV A=$b\n'),
        ("FROM a\nonbuild run x\n", "FROM a\nONBUILD run x\n"),
        ("FROM a\r\n\r\n\r\nrun x  \r\n", "FROM a\r\n\r\nRUN x\r\n"),
        ("\ufefffrom a\n", "\ufeffFROM a\n"),
        (
            "# escape=`\nfrom a\nrun b `\n c\nenv A=1 `\nB=2\n",
            "# escape=`\nFROM a\nRUN b `\n c\nENV A=1 `\n    B=2\n",
        ),
        ("#  syntax = x  \n\n\nfrom a\n", "#  syntax = x  \n\nFROM a\n"),
        ("\n\n# escape=`\nFROM a\n", "\n# escape=`\nFROM a\n"),
        ("\\\nfrom a\n", "\\\n    FROM a\n"),
        ("fr\\\nom a\n", "fr\\\nom a\n"),
        ("FROM a\nRUN b \\", "FROM a\nRUN b \\\n"),
        ("FROM a\n  # c  \nRUN b\n", "FROM a\n  # c\nRUN b\n"),
    ],
)
def test_forms(text, expected):
    found = format_text(text.encode(), "f").decode()
    assert found == expected
    assert format_text(found.encode(), "f").decode() == found


def test_a_file_that_does_not_parse_is_refused():
    with pytest.raises(BuildFileError, match="unknown instruction"):
        format_text(b"FROM a\nRUNN\n", "f")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("FROM a", "from  a", True),
        ("FROM a", "FROM b", False),
        ("FROM a\nENV A b", "FROM a\nENV A=b", True),
        ("FROM a\nRUN x", "FROM a\nRUN x y", False),
        ("FROM a AS b", "FROM a AS c", False),
        ("FROM a\nRUN x", "FROM a\nCMD x", False),
        ("FROM a\nARG a", "FROM a\nARG b", False),
        ("FROM a\nRUN <<A\nA", "FROM a\nRUN <<B\nB", False),
        ("FROM a\nMAINTAINER x", "FROM a\nMAINTAINER y", False),
    ],
)
def test_what_counts_as_the_same(one, other, same):
    assert same_meaning(parse(one.encode(), "f"), parse(other.encode(), "g")) is same
