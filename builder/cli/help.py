"""The text of `--help`."""

from __future__ import annotations

from collections.abc import Iterator

from builder.cli.command import COMMANDS, Command
from builder.cli.flags import Flag

_WIDTH = 100
_COLUMN = 34


def overview() -> str:
    """What `pybuild --help` prints."""
    lines = [
        "pybuild builds container images from a Dockerfile: no daemon, as root or not, and it tells why.",
        "",
        "Usage:",
        "  pybuild [build] [FLAGS] CONTEXT",
        "  pybuild COMMAND [FLAGS] …",
        "",
        "Commands:",
        *(f"  {name:10} {text}" for name, text in COMMANDS.items()),
        "",
        "Examples:",
        "  pybuild -t example/app .              build the Buildfile or Dockerfile of this folder",
        "  pybuild run example/app               run what was built",
        "  pybuild build --help                  all flags of a build",
        "",
        "pybuild COMMAND --help shows the flags of a command, pybuild --version the version.",
        "A folder that is called like a command is written ./run.",
        "Exit status: 0 done, 1 failed, 2 wrong usage or build file, 3 condition not met, 130 interrupted.",
    ]
    return "\n".join(lines) + "\n"


def command_help(command: Command, summary: str) -> str:
    """What `pybuild COMMAND --help` prints."""
    name = "pybuild [build]" if command.name == "build" else f"pybuild {command.name}"
    usage = " ".join(part for part in (name, "[FLAGS]" if command.flags else "", command.usage) if part)
    lines = [f"{summary}.", "", "Usage:", f"  {usage}"]
    if command.text:
        lines += ["", *(line for text in command.text.split("\n") for line in _wrap(text, _WIDTH))]
    groups: dict[str, list[Flag]] = {}
    for flag in command.flags:
        if flag.text:
            groups.setdefault(flag.group, []).append(flag)
    for group, flags in groups.items():
        lines += ["", f"{group}:"]
        for flag in flags:
            lines += _flag_lines(flag)
    if command.examples:
        lines += ["", "Examples:"]
        for line, what in command.examples:
            lines += [f"  # {what}", f"  {line}"]
    return "\n".join(lines) + "\n"


def _flag_lines(flag: Flag) -> Iterator[str]:
    short = f"{flag.short}, " if flag.short else "    "
    value = f" {flag.value}" if flag.value and flag.bare is None else f"[={flag.value}]" if flag.value else ""
    head = f"  {short}{flag.name}{value}"
    wrapped = list(
        _wrap(flag.text + (" (may be repeated)" if flag.many and not flag.once else ""), _WIDTH - _COLUMN)
    )
    if len(head) >= _COLUMN - 1:
        yield head
        head = ""
    for line in wrapped:
        yield f"{head:{_COLUMN}}{line}"
        head = ""


def _wrap(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}".lstrip()
    yield line
