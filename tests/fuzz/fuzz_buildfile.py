#!/usr/bin/env python3
"""Look for texts that break the parser, with atheris: `make fuzz`.

Only `BuildFileError` may come out of reading, expanding and formatting a text, and within two seconds. The search
begins with the files of tests/corpus; what breaks something is written to a file named crash-….
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["builder.buildfile"]):
    from builder.buildfile.encode import decode, encode
    from builder.buildfile.format import format_text, same_meaning
    from builder.buildfile.ignorefile import read_ignore_file
    from builder.buildfile.parse import parse, parse_trigger
    from builder.buildfile.syntax import Copy, Env, Onbuild, Workdir
    from builder.buildfile.words import expand
    from builder.errors import BuildFileError

LONGEST = 65536
SLOWEST = 2.0
VALUES = {"A": "abab", "v": "foobarbaz", "EMPTY": ""}


def words(line):
    """Some words of a line, to be expanded."""
    match line:
        case Env(pairs=pairs):
            return [word for pair in pairs for word in (pair.key, pair.value)]
        case Copy(sources=sources, destination=destination, heredocs=heredocs):
            return [*sources, destination, *(doc.word for doc in heredocs if doc.word)]
        case Workdir(path=path):
            return [path]
    return []


def read(text: bytes) -> None:
    """Take a text through all that reads build files."""
    read_ignore_file(text)
    try:
        file = parse(text, "f")
    except BuildFileError as error:
        assert error.message
        return
    assert decode(encode(file), "f") == file
    once = format_text(text, "f")
    assert same_meaning(parse(once, "f"), file)
    assert format_text(once, "f") == once
    wrong = {mistake.instruction for mistake in file.mistakes}
    escaped = any(directive.name == "escape" for directive in file.directives)
    for index, line in enumerate(file.instructions):
        if isinstance(line, Onbuild):
            try:
                found = parse_trigger(line.trigger)
            except BuildFileError:
                assert index in wrong or escaped  # words of triggers are escaped as the file says
            else:
                assert line.instruction is None or type(found) is type(line.instruction)
        for word in words(line) if index not in wrong else ():
            try:
                expand(word, VALUES.get)
            except BuildFileError as error:
                assert error.message


def one_input(text: bytes) -> None:
    """One attempt of the fuzzer."""
    started = time.process_time()
    read(text)
    taken = time.process_time() - started
    assert taken < SLOWEST * (1 + len(text) // LONGEST), f"{taken:.1f} s for {len(text)} bytes"


def main() -> None:
    """Run with libFuzzer's flags; without a folder for what it finds, that is a temporary one."""
    corpus = tempfile.mkdtemp(prefix="fuzz-buildfile-")
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    flags = [word for word in sys.argv[1:] if word.startswith("-")]
    folders = words or [corpus, str(ROOT / "tests" / "corpus")]
    dictionary = ROOT / "tests" / "fuzz" / "buildfile.dict"
    atheris.Setup([sys.argv[0], f"-max_len={LONGEST}", f"-dict={dictionary}", *flags, *folders], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
