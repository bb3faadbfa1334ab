"""HEALTHCHECK: how to see whether a container is well."""

from __future__ import annotations

import re

from builder.buildfile import syntax
from builder.buildfile.arguments import array
from builder.buildfile.blanks import PLAIN_BLANKS, PLAIN_WORD
from builder.buildfile.commands import command
from builder.buildfile.durations import parse_duration
from builder.buildfile.flags import FlagText
from builder.buildfile.line import Line, nearest
from builder.buildfile.syntax import (
    ExecForm,
    Instruction,
)
from builder.value import replace

_KIND = re.compile(PLAIN_WORD)
_TIMES = ("interval", "timeout", "start-period", "start-interval")


def healthcheck_line(line: Line) -> Instruction:
    """HEALTHCHECK NONE, or HEALTHCHECK [--interval=…] CMD COMMAND."""
    line.needs("a type: CMD or NONE", "write HEALTHCHECK CMD COMMAND or HEALTHCHECK NONE")
    kind, rest, rest_at = _split(line)
    if kind.upper() == "NONE":
        line.ignore_flags()
        if rest:
            raise line.error("HEALTHCHECK NONE takes no arguments", rest_at, len(rest), "remove them")
        return syntax.Healthcheck(None, 0, 0, 0, 0, 0, line.text, line.span)
    flags = line.take_flags((*_TIMES, "retries"))
    if kind.upper() != "CMD":
        late = kind.startswith("--")
        raise line.error(
            f"unknown type {kind[:80]!r} of HEALTHCHECK" if not late else "the type must be CMD or NONE",
            line.rest_at,
            len(kind),
            "did you mean CMD?"
            if nearest(kind.upper(), ("CMD",))
            else f"write HEALTHCHECK CMD {line.rest[:80]}",
        )
    if not rest:
        raise line.error(
            "the command after HEALTHCHECK CMD is missing",
            line.rest_at,
            len(kind),
            "write HEALTHCHECK CMD COMMAND",
        )
    interval, timeout, start_period, start_interval = [
        _time(line, line.single(flags, name)) for name in _TIMES
    ]
    retries = _retries(line, line.single(flags, "retries"))
    line.rest, line.rest_at = rest, rest_at
    found = command(line)
    if isinstance(found, ExecForm) and not found.argv:
        raise line.rest_error(
            "the command after HEALTHCHECK CMD is empty", 'write CMD ["program", "argument"]'
        )
    return syntax.Healthcheck(
        found, interval, timeout, start_period, start_interval, retries, line.text, line.span
    )


def check_healthcheck(line: Line) -> None:
    """Refuse an array of anything but strings."""
    _, rest, rest_at = _split(line)
    array(replace(line, rest=rest, rest_at=rest_at))


def _split(line: Line) -> tuple[str, str, int]:
    """The type, the rest, and where that begins."""
    match = _KIND.match(line.rest)
    assert match is not None
    rest = line.rest[match.end() :].lstrip(PLAIN_BLANKS)
    return match[0], rest, line.rest_at + len(line.rest) - len(rest)


def _retries(line: Line, flag: FlagText | None) -> int:
    if flag is None or not flag.value:
        return 0
    if re.fullmatch("[+-]?[0-9]{1,18}", flag.value) and 0 <= int(flag.value) < 1 << 31:
        return int(flag.value)
    raise line.flag_error(
        flag, f"--retries is a number from 0 to {(1 << 31) - 1}, not {flag.value[:40]}", "write --retries=3"
    )


def _time(line: Line, flag: FlagText | None) -> int:
    if flag is None or not flag.value:
        return 0
    try:
        found = parse_duration(flag.value)
    except ValueError as error:
        message = f"invalid duration for --{flag.name}: {error}"
        raise line.flag_error(flag, message, "write it as 30s or 1m30s") from None
    if found != 0 and found < 10**6:
        message = f"--{flag.name}={flag.value[:40]} is less than the least, 1ms"
        raise line.flag_error(flag, message, "write 1ms or more, or 0 to inherit it")
    return found
