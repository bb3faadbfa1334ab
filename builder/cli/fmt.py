"""`pybuild fmt`: bring build files into one form."""

from __future__ import annotations

import os
import sys

from builder.cli.command import Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.errors import BuildFileError, UsageError

_UNMET = 3
_LIMIT = 64 << 20


def run(args: Arguments, around: Surroundings) -> int:
    """Format files in place and print the names of those that changed; `-` goes from standard input to output.

    With `--check` nothing is written, and the status is 3 if a file would change; `--diff` shows what would.
    """
    from builder.engine.inputs import DEFAULT_NAMES

    names = args.words or tuple(name for name in DEFAULT_NAMES if os.path.isfile(name))[:1]
    if not names:
        raise UsageError(
            "there is no build file in this folder",
            hint=f"name one; looked for are {', '.join(DEFAULT_NAMES)}",
        )
    check, diff = args.switch("--check"), args.switch("--diff")
    changed, failures = 0, []
    for name in names:
        try:
            changed += _format(name, around, check=check, diff=diff)
        except BuildFileError as error:
            failures += [error, *error.others]
    if failures:
        first, *others = failures
        raise BuildFileError(first.message, hint=first.hint, location=first.location, others=tuple(others))
    return _UNMET if check and changed else 0


def _format(name: str, around: Surroundings, *, check: bool, diff: bool) -> bool:
    """Format one file; whether it is (or would be) changed."""
    from builder.buildfile.format import format_text
    from builder.report.harmless import harmless

    shown = "stdin" if name == "-" else name
    text = _read(name)
    formatted = format_text(text, shown)
    if diff:
        around.out.write(_difference(text, formatted, shown))
    elif check:
        around.out.write(f"{harmless(shown)}\n" if formatted != text else "")
    elif name == "-":
        around.out.flush()
        sys.stdout.buffer.write(formatted)
    elif formatted != text:
        _replace(name, formatted)
        around.out.write(f"{harmless(name)}\n")
    return formatted != text


def _read(name: str) -> bytes:
    if name == "-":
        if sys.stdin.isatty():
            raise UsageError(
                "a build file is not read from a terminal", hint="redirect standard input, or name a file"
            )
        text = sys.stdin.buffer.read(_LIMIT + 1)
        if len(text) > _LIMIT:
            raise UsageError(f"the build file on standard input is larger than {_LIMIT >> 20} MiB")
        return text
    from builder.engine.reading import read_file

    try:
        return read_file(name, _LIMIT)
    except OSError as error:
        raise UsageError(f'the build file "{name}" cannot be read: {error.strerror}') from None


def _replace(name: str, text: bytes) -> None:
    """Put a text in the place of a file at once: a reader sees the old one or the new one, whatever happens."""
    import tempfile

    path = os.path.realpath(name)  # a link stays a link
    descriptor, temporary = tempfile.mkstemp(prefix=".pybuild-fmt-", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(descriptor, os.stat(path).st_mode & 0o7777)
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _difference(before: bytes, after: bytes, name: str) -> str:
    from difflib import unified_diff

    from builder.report.harmless import harmless

    old, new = [text.decode("utf-8", "surrogateescape").split("\n") for text in (before, after)]
    lines = unified_diff(old, new, name, f"{name} (formatted)", lineterm="")
    return "".join([f"{harmless(line)}\n" for line in lines])


COMMAND = Command(
    name="fmt",
    usage="[FILE…|-]",
    flags=(
        Flag(
            "--check",
            "",
            "Write nothing; list the files that would change, and end with status 3 if any would",
        ),
        Flag("--diff", "", "Write nothing; show what would change"),
    ),
    run=run,
    text="Writes keywords in capitals, indents continued lines and drops stray blanks. What a file means stays the same: "
    "commands, comments and here-documents are not touched. Without FILE it is the build file of this folder.",
    examples=(
        ("pybuild fmt", "the build file of this folder"),
        ("pybuild fmt --check --diff */Dockerfile", "in CI"),
    ),
    most=None,
)
