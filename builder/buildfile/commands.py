"""RUN, CMD, ENTRYPOINT and SHELL: commands, as text for a shell or as JSON arrays."""

from __future__ import annotations

from builder.buildfile import syntax
from builder.buildfile.arguments import array, fields
from builder.buildfile.flags import FlagText
from builder.buildfile.line import Line, nearest
from builder.buildfile.syntax import (
    Command,
    ExecForm,
    Instruction,
    Mount,
    ShellForm,
)

_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")


def command(line: Line) -> Command:
    """A JSON array of strings, else text for a shell."""
    strings = array(line)
    return ShellForm(line.rest) if strings is None else ExecForm(tuple([piece.text for piece in strings]))


def run_line(line: Line) -> Instruction:
    """RUN [--mount=… --network=… --security=… --device=…] COMMAND."""
    flags = line.take_flags(("mount", "network", "security", "device"))
    found = command(line)
    if isinstance(found, ShellForm):
        if not found.text:
            line.source.warnings.append(("RUN has no command: it runs nothing", line.span))
        found = ShellForm(line.rest, line.heredocs(bodies=False))
    return syntax.Run(
        found,
        tuple([_mount(line, flag) for flag in line.values(flags, "mount")]),
        _choice(line, flags, "network", _NETWORKS),
        _choice(line, flags, "security", _SECURITIES),
        _devices(line, line.values(flags, "device")),
        line.text,
        line.span,
    )


def _devices(line: Line, flags: list[FlagText]) -> tuple[str, ...]:
    if not flags:
        return ()
    from builder.buildfile.devices import check_device  # late: hardly any file has devices

    return tuple([check_device(line, flag) for flag in flags])


def _choice(line: Line, flags: dict[str, list[FlagText]], name: str, known: tuple[str, ...]) -> str | None:
    flag = line.single(flags, name)
    if flag is None or flag.value in known:
        return flag.value if flag else None
    near = nearest(flag.value or "", known)
    raise line.flag_error(
        flag,
        f"invalid {name} mode {flag.value!r}",
        f"did you mean {near}?" if near else f"use one of {', '.join(known)}",
    )


def _mount(line: Line, flag: FlagText) -> Mount:
    """The comma-separated fields of `--mount`."""
    if not flag.value:
        raise line.error(
            "missing a value on flag --mount", flag.at, flag.length, "write --mount=type=…,target=…"
        )
    pieces = fields(line, flag)
    if pieces is None:
        raise line.error(
            "the fields of --mount cannot be read: a double quote stands in the middle, or is not closed",
            flag.at,
            flag.length,
            "quote a whole field that has a comma, and the flag around it: '--mount=type=bind,\"source=a,b\"'",
        )
    found = []
    for piece in pieces:
        key, mark, value = piece.text.partition("=")
        at = piece.at + len(key) + 1 if piece.length is None else piece.at
        found.append((key.lower(), line.word(value, at, piece.length) if mark else None))
    return Mount(tuple(found), line.logical.span(flag.at, flag.at + flag.length))


def cmd_line(line: Line) -> Instruction:
    """CMD: what a container runs, or the arguments of its ENTRYPOINT."""
    line.take_flags(())
    return syntax.Cmd(command(line), line.text, line.span)


def entrypoint_line(line: Line) -> Instruction:
    """ENTRYPOINT: what a container runs in any case."""
    line.take_flags(())
    return syntax.Entrypoint(command(line), line.text, line.span)


def shell_line(line: Line) -> Instruction:
    """SHELL: what runs the shell forms behind it, a JSON array only."""
    line.take_flags(())
    strings = array(line)
    if strings is None:
        raise line.rest_error(
            "SHELL takes a JSON array of strings only", _json_hint(line) or 'write SHELL ["/bin/sh", "-c"]'
        )
    if not strings:
        raise line.rest_error("SHELL requires at least one argument", 'write SHELL ["/bin/sh", "-c"]')
    return syntax.Shell(tuple([piece.text for piece in strings]), line.text, line.span)


def _json_hint(line: Line) -> str | None:
    """What is wrong with something that looks like a JSON array."""
    if not line.rest.startswith("["):
        return None
    if "'" in line.rest and '"' not in line.rest:
        return "JSON knows double quotes only"
    return "commas go between the strings only, and nothing may follow the ]"
