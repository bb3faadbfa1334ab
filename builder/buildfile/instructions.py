"""From a parsed line to its instruction object: one function for each keyword."""

from __future__ import annotations

from collections.abc import Callable

from builder.buildfile import syntax
from builder.buildfile.arguments import array, words, words_or_array
from builder.buildfile.blanks import BLANKS
from builder.buildfile.commands import cmd_line, entrypoint_line, run_line, shell_line
from builder.buildfile.copies import copy_line
from builder.buildfile.healthcheck import check_healthcheck, healthcheck_line
from builder.buildfile.line import Line
from builder.buildfile.pairs import arg_line, check_pairs, env_line, label_line
from builder.buildfile.stageline import from_line
from builder.buildfile.syntax import (
    Instruction,
    Word,
)


def _one_word(line: Line, hint: str) -> Word:
    line.needs("exactly one argument", hint)
    return line.word(line.rest, line.rest_at)


def _workdir(line: Line) -> Instruction:
    line.take_flags(())
    return syntax.Workdir(_one_word(line, "write WORKDIR /path"), line.text, line.span)


def _user(line: Line) -> Instruction:
    line.take_flags(())
    return syntax.User(_one_word(line, "write USER NAME or USER UID:GID"), line.text, line.span)


def _stop_signal(line: Line) -> Instruction:
    line.ignore_flags()
    return syntax.StopSignal(_one_word(line, "write STOPSIGNAL SIGTERM"), line.text, line.span)


def _expose(line: Line) -> Instruction:
    line.take_flags(())
    line.needs("at least one argument", "write EXPOSE PORT or EXPOSE PORT/udp")
    ports = tuple([line.word(piece.text, piece.at) for piece in words(line)])
    return syntax.Expose(ports, line.text, line.span)


def _volume(line: Line) -> Instruction:
    line.take_flags(())
    pieces = words_or_array(line)
    if not pieces:
        raise line.rest_error("VOLUME requires at least one argument", "write VOLUME /path")
    found = []
    for piece in pieces:
        text = piece.text.strip(BLANKS)
        if not text:
            at, length = (piece.at, piece.length) if piece.length else (piece.at - 1, len(piece.text) + 2)
            raise line.error("a path of VOLUME is empty", at, length, "name a path, such as /data")
        moved = piece.text.index(text) if piece.length is None else 0
        found.append(line.word(text, piece.at + moved, piece.length))
    return syntax.Volume(tuple(found), line.text, line.span)


def _maintainer(line: Line) -> Instruction:
    line.take_flags(())
    line.needs(
        "exactly one argument",
        "write MAINTAINER NAME, or better LABEL org.opencontainers.image.authors=NAME",
    )
    return syntax.Maintainer(line.rest, line.text, line.span)


Maker = Callable[[Line], Instruction]

MAKERS: dict[str, Maker] = {
    "FROM": from_line,
    "ARG": arg_line,
    "ENV": env_line,
    "LABEL": label_line,
    "RUN": run_line,
    "COPY": copy_line,
    "ADD": copy_line,
    "WORKDIR": _workdir,
    "USER": _user,
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "CMD": cmd_line,
    "ENTRYPOINT": entrypoint_line,
    "SHELL": shell_line,
    "STOPSIGNAL": _stop_signal,
    "HEALTHCHECK": healthcheck_line,
    "MAINTAINER": _maintainer,
}

_FORMS: dict[str, Callable[[Line], object]] = {
    **dict.fromkeys(("RUN", "CMD", "ENTRYPOINT", "SHELL", "COPY", "ADD", "VOLUME"), array),
    **dict.fromkeys(("ENV", "LABEL"), check_pairs),
    "HEALTHCHECK": check_healthcheck,
}


def check_form(line: Line) -> None:
    """Refuse what BuildKit refuses even of a trigger that nobody runs: it is none of the forms that a line may have."""
    check = _FORMS.get(line.keyword)
    if check is not None and line.rest:
        check(line)
