"""Large, deep and broken input: a clean error or a right result, and soon."""

import time

import pytest
from reading import value

from builder.buildfile.format import format_text
from builder.buildfile.ignorefile import read_ignore_file
from builder.buildfile.parse import parse
from builder.errors import BuildFileError
from builder.graph.resolve import resolve_stages
from builder.image.platform import Platform

AMD64 = Platform("linux", "amd64")

SIZE = 60_000
# Seconds of a processor that others may slow down. A second at most; what grows with the square takes minutes.
LIMIT = 20.0


@pytest.fixture(autouse=True)
def _soon():
    started = time.process_time()
    yield
    assert time.process_time() - started < LIMIT


def lines(count, text):
    return "FROM b\n" + "".join(text.format(number) for number in range(count))


def filled(text, size=SIZE):
    return text * (size // len(text))


GOOD = {
    "many instructions": lines(10_000, "RUN echo {}\n"),
    "a long command": f"FROM b\nRUN {filled('x ')}",
    "a long word": f"FROM b\nENV A={filled('x')}",
    "many pairs": f"FROM b\nENV {filled('A=b ')}",
    "many quoted pairs": f"FROM b\nENV {filled(chr(34).join(['A=', 'b', ' ']))}",
    "many escapes": f"FROM b\nENV A={filled(chr(92) + 'a')}",
    "many escapes in quotes": 'FROM b\nENV A="' + filled('\\"') + '"',
    "many variables": f"FROM b\nENV A={filled('$a')}",
    "many braces": f"FROM b\nWORKDIR {filled('${a:-b}', 20_000)}",
    "many continuations": "FROM b\nRUN a" + " \\\n b" * 20_000,
    "many comments in a continuation": "FROM b\nRUN a \\\n" + "# c\n" * 20_000 + "b\n",
    "many empty continuations": "FROM b\nRUN a \\\n" + "\n" * 20_000 + "b\n",
    "many blanks": f"FROM b\nRUN a{filled(' ')}b",
    "blanks and escapes": f"FROM b\nRUN a{filled(chr(92) + '   ')}b",
    "escapes only": "FROM b\nRUN a" + filled("\\"),
    "many here-documents": "FROM b\nRUN cat" + " <<A" * 5000 + "\nx\nA" * 5000 + "\n",
    "a long here-document": "FROM b\nCOPY <<EOF /x\n" + "some text $a\n" * 3_000 + "EOF\n",
    "many small here-documents": lines(3000, "COPY <<EOF /{}\nx\nEOF\n"),
    "many sources": f"FROM b\nCOPY {filled('a ')} b/",
    "many strings": f"FROM b\nCMD [{filled(chr(34) + 'a' + chr(34) + ',')}{chr(34)}a{chr(34)}]",
    "deep arrays": f"FROM b\nCMD {filled('[')}",
    "NULs": "FROM b\n# a" + "\0" * 10_000 + "\nLABEL a=" + "\0" * 10_000,
    "many flags": f"FROM b\nCOPY {filled('--exclude=a ')} b c",
    "many quoted flags": f"FROM b\nCOPY {filled(chr(34).join(['--exclude=', 'a', ' ']))} b c",
    "many mounts": f"FROM b\nRUN {filled('--mount=type=tmpfs,target=/x ')} true",
    "many fields": f"FROM b\nRUN --mount={filled('type=tmpfs,')}target=/x true",
    "many quoted fields": "FROM b\nRUN --mount='" + filled('"a=b",', 30_000) + "a=b' true",
    "many ports": f"FROM b\nEXPOSE {filled('1-65535 ')}",
    "many stages": lines(5_000, "FROM b AS s{}\n"),
    "carriage returns": "FROM b\r\nRUN a\r\r\r\n",
    "here-document words in quotes": f"FROM b\nRUN {filled(chr(34) + '<<A' + chr(34) + ' ')}",
    "deep braces": f"FROM b\nENV A={'${a:-' * 10_000}{'}' * 10_000}",
    "braces deep in a here-document": "FROM b\nCOPY <<EOF /x\n"
    + "${a:-\n" * 50_000
    + "}\n" * 50_000
    + "EOF\n",
    "here-document words deep in braces": f"FROM b\nRUN <<EOF {'${a:-' * 5_000}{'}a' * 5_000}\nx\nEOF\n",
    "escapes in a here-document": f"FROM b\nCOPY <<EOF /x\n{filled(chr(92) * 2 + 'a' + chr(10), 400_000)}\nEOF\n",
    "here-document words in braces": f"FROM b\nRUN <<<{filled('${a:-<<}', 20_000)}",
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_large_parses(name):
    text = GOOD[name].encode()
    file = parse(text, "f")
    assert len(file.instructions) >= 2


BAD = {
    "a long line": f"FROM b\nRUN {'x' * 1_000_000}",
    "many mistakes": "FROM b\n" + "RUNN x\n" * 10_000,
    "open braces": f"FROM b\nENV A={'${a:-' * 10_000}",
    "an open quote": f'FROM b\nENV A="{filled("x")}',
    "open quotes and escapes": f'FROM b\nENV A="{filled(chr(92) + chr(34))}',
    "an open flag": f'FROM b\nCOPY --chown="{filled(chr(92) + chr(34))} a b',
    "flags only": f"FROM b\nCOPY {filled('--a ')}",
    "open quotes of both kinds": f"FROM b\nENV A={filled(chr(34) + chr(39) * 2, 59_997)}",
    "an open here-document": "FROM b\nRUN <<EOF\n" + "x\n" * 20_000,
    "many open here-documents": "FROM b\nRUN cat" + " <<A" * 10_000 + "\n",
    "an open array": f"FROM b\nSHELL [{filled(chr(34) + 'a' + chr(34) + ',')}",
    "a long keyword": f"FROM b\n{filled('RUN')}",
    "a long duration": f"FROM b\nHEALTHCHECK --interval={'9' * SIZE}h CMD x",
    "a long fraction": f"FROM b\nHEALTHCHECK --interval=0.{'0' * SIZE} CMD x",
    "a long name": f"FROM b AS {filled('é')}",
    "an open field": "FROM b\nRUN --mount='" + filled('"a""') + "' true",
    "an open modifier": f"FROM b\nENV A={'${a/' * 15_000}",
    "a directive in a wrong place": "FROM b\n# escape=`\nRUN a `\nb\n",
    "only an escape": "\\",
    "nested triggers": f"FROM b\n{filled('ONBUILD ')}RUN x",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_broken_is_refused(name):
    with pytest.raises(BuildFileError) as caught:
        resolve_stages(parse(BAD[name].encode(), "f"), platform=AMD64, build_platform=AMD64)
    assert len(caught.value.message) < 300
    assert len(caught.value.others) <= 50


@pytest.mark.parametrize("name", ["many instructions", "many continuations", "many small here-documents"])
def test_what_is_large_is_formatted(name):
    text = "\n".join(GOOD[name].split("\n")[:2000]).encode()
    try:
        assert format_text(text, "f")
    except BuildFileError:
        assert "here" in name or "continuations" in name


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("${v##*a*a*a*a*a*b}", None),
        ("${v%%b*a*a*a*a*a*}", None),
        ("${v#*a*a*a*a*a*b}", None),
        ("${v//a*b/x}", None),
        ("${v//?*?*?*?*b/x}", None),
        ("${v/*a?a?a*b/x}", None),
        ("${v//a/bb}", "bb"),
        ("${v//??/x}", "x"),
        ("${v##*}", ""),
        ("${v//*/x}", "x"),
    ],
)
def test_patterns(pattern, expected):
    text = "a" * 200_000
    found = value(pattern, v=text)
    assert found == (text if expected is None else expected * (len(found) // max(len(expected), 1)))


def test_ignore_files():
    assert len(read_ignore_file(b"a\n" * 100_000)) == 100_000
    assert len(read_ignore_file(filled("../").encode())) == 1
    assert len(read_ignore_file(b"**/*a*/" * 10_000)) == 1
