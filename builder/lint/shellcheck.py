"""Pitfalls of shell text, as ShellCheck sees them: one process for all RUN lines of a file.

Each script is handed over as a file in memory, under a line that says its shell and one that makes the
variables of ARG and ENV known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from builder.buildfile.syntax import From, Heredoc, ShellForm, Span
from builder.lint.comments import shell_of
from builder.lint.finding import ERROR, INFO, STYLE, WARNING, Hit, Rule
from builder.lint.places import Source
from builder.lint.scripts import Script, in_body, scripts_of
from builder.lint.walk import Facts
from builder.value import dataclass

_DIALECTS = {"sh": "sh", "bash": "bash", "dash": "dash", "ash": "dash", "ksh": "ksh", "busybox": "dash"}
# Files that are sourced are not here, and ash is well known as dash.
_EXCLUDED = "SC1090,SC1091,SC2187"
_SECONDS = 60
_AT_ONCE = 500  # each is an open file
_MOST_NAMES = 64
_ALWAYS = (
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
)
_LEVELS = {"error": ERROR, "warning": WARNING, "info": INFO, "style": STYLE}
_PAGES = "https://www.shellcheck.net/wiki"
_SUMMARY = "ShellCheck has a remark about a command of RUN"


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some lines of a handed-over text, from `first` on: the joined lines of RUN (`source`), or a body."""

    first: int
    count: int
    source: Source | None = None
    start: int = 0
    body: Heredoc | None = None


@dataclass(frozen=True, slots=True)
class _Text:
    script: Script
    text: str
    pieces: tuple[_Piece, ...]


def shell_hits(facts: Facts, program: str) -> tuple[list[tuple[Rule, Hit]], tuple[str, ...]]:
    """What ShellCheck (`program` is its path) finds, and notes on what it could not do."""
    texts = list(_texts(facts))
    if not texts:
        return [], ()
    try:
        comments = [
            (texts[begin + index], comment)
            for begin in range(0, len(texts), _AT_ONCE)
            for index, comment in _ask(program, [item.text for item in texts[begin : begin + _AT_ONCE]])
        ]
    except _Failed as error:
        return [], (f"shellcheck did not check the shell text of RUN: {error}",)
    hits = []
    for item, comment in comments:
        span = _span(facts, item, comment)
        if span is not None:
            hits.append((_rule(comment), Hit(item.script.line, span, str(comment["message"]))))
    hits.sort(key=lambda pair: (pair[1].span.line, pair[1].span.column, pair[0].name))
    return hits, ()


class _Failed(Exception):
    pass


def _rule(comment: dict[str, Any]) -> Rule:
    name = f"SC{comment['code']}"
    severity = _LEVELS.get(comment["level"], WARNING)
    return Rule(name, _SUMMARY, severity, f"{_PAGES}/{name}", _found_already)


def _found_already(facts: Facts) -> tuple[Hit, ...]:
    del facts
    return ()


# --- what is handed over ---


def _texts(facts: Facts) -> Iterator[_Text]:
    shells = dict(_said_shells(facts))
    for script in scripts_of(facts):
        if not isinstance(script.run.command, ShellForm):
            continue
        name = shells.get(script.line.span.line) or script.shell[0]
        dialect = _DIALECTS.get(name.rpartition("/")[2])
        if dialect is not None:
            yield _text(facts, script, dialect)


def _said_shells(facts: Facts) -> Iterator[tuple[int, str]]:
    """The shell of each instruction, by its first line, where a comment `# hadolint shell=` names one.

    It holds to the end of the stage; above the first instruction it is for the whole file.
    """
    lines = facts.file.instructions
    everywhere = here = shell_of(facts.comments.above(lines[0])) if lines else None
    for line in lines:
        if isinstance(line, From):
            here = everywhere
        here = shell_of(facts.comments.above(line)) or here
        if here:
            yield line.span.line, here


def _text(facts: Facts, script: Script, dialect: str) -> _Text:
    stage = script.visit.stage
    lines = [f"# shellcheck shell={dialect}", ""]
    pieces = []
    if script.body is not None:
        body = script.body.body.split("\n")
        pieces.append(_Piece(len(lines) + 1, len(body), body=script.body))
        lines += body
    else:
        source = Source(facts.file, script.line, facts.escape)
        pieces.append(_Piece(len(lines) + 1, 1, source, len(source.text) - len(script.text)))
        lines.append(script.text)
        assert isinstance(script.run.command, ShellForm)
        for heredoc in script.run.command.heredocs:
            body = heredoc.body.split("\n")[:-1]
            pieces.append(_Piece(len(lines) + 1, len(body), body=heredoc))
            lines += [*body, heredoc.name]
    lines[1] = f"export {' '.join(_known_names({*stage.scope.values, *stage.arguments, *_ALWAYS}, lines))}"
    return _Text(script, "\n".join(lines) + "\n", tuple(pieces))


def _known_names(names: set[str], lines: list[str]) -> list[str]:
    """The variables that ShellCheck is told of. It looks at each of them for each script, so of many only those that the script
    may mean, in whatever case.
    """
    if len(names) > _MOST_NAMES:
        words = set(re.findall(r"\w+", "\n".join(lines).casefold(), re.ASCII))
        names = {name for name in names if name.casefold() in words}
    return sorted(name for name in names if _is_name(name))


def _is_name(name: str) -> bool:
    return name.isascii() and name.isidentifier()


# --- the process ---


def _ask(program: str, texts: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """ShellCheck's comments, each behind the index of its text."""
    import json
    import subprocess

    descriptors: list[int] = []
    try:
        for text in texts:
            descriptor = os.memfd_create("script")
            descriptors.append(descriptor)
            with open(os.dup(descriptor), "wb") as stream:
                stream.write(text.encode("utf-8", "replace"))
            os.lseek(descriptor, 0, os.SEEK_SET)
        paths = {f"/dev/fd/{descriptor}": index for index, descriptor in enumerate(descriptors)}
        done = subprocess.run(
            [program, "--norc", "--format=json1", f"--exclude={_EXCLUDED}", *paths],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _Failed(f"it took longer than {_SECONDS} seconds") from None
    except OSError as error:
        raise _Failed(error.strerror or str(error)) from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    try:
        comments = json.loads(done.stdout)["comments"]
        return [(paths[comment["file"]], comment) for comment in comments]
    except (ValueError, KeyError, TypeError):
        said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise _Failed(said or f"it ended with status {done.returncode}") from None


def _span(facts: Facts, item: _Text, comment: dict[str, Any]) -> Span | None:
    """Where a comment belongs in the file; None for one about the lines that were put in front."""
    line, column = int(comment["line"]), int(comment["column"])
    end_line, end_column = int(comment["endLine"]), int(comment["endColumn"])
    for piece in item.pieces:
        if not piece.first <= line < piece.first + piece.count:
            continue
        if piece.source is not None:
            if end_line > line or end_column <= column:
                end_column = column + 1
            return piece.source.span(piece.start + column - 1, piece.start + end_column - 1)
        if piece.body is not None:
            last = min(end_line, piece.first + piece.count - 1)
            if (last, end_column) <= (line, column):
                last, end_column = line, column + 1
            return in_body(facts.file, piece.body, line - piece.first, column, last - piece.first, end_column)
    return None
