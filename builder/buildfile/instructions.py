"""From a parsed line to its instruction object: one function for each keyword."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from builder.buildfile import syntax
from builder.buildfile.durations import parse_duration
from builder.buildfile.grammar import line_grammar
from builder.buildfile.heredocs import opening
from builder.buildfile.line import FlagText, Line
from builder.buildfile.syntax import (
    ArgItem,
    Command,
    ExecForm,
    Instruction,
    Mount,
    Pair,
    ShellForm,
    Word,
)

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")


# --- forms of arguments -----------------------------------------------------------------------------


def _tokens(line: Line, start: str) -> list[tuple[str, int]]:
    """Words of the arguments with where they stand in the logical line."""
    if not line.rest:
        return []
    tree: Any = line_grammar(line.source.escape).parse(line.rest, start=start)
    return [(str(token), line.rest_at + (token.start_pos or 0)) for token in tree.children]


def _array(line: Line) -> tuple[str, ...] | None:
    """The strings of a JSON array, None if the arguments are none: then they are text.

    An array with anything but strings is an error, as BuildKit has it.
    """
    if not line.rest.startswith("["):
        return None
    from lark.exceptions import UnexpectedInput

    try:
        tree: Any = line_grammar(line.source.escape).parse(line.rest, start="exec")
    except UnexpectedInput:
        try:
            other = json.loads(line.rest)
        except (ValueError, RecursionError):
            return None
        if isinstance(other, list):
            raise line.error(
                "only string type is allowed in JSON array of strings",
                line.rest_at,
                len(line.rest),
                "put every element in double quotes",
            ) from None
        return None
    return tuple(json.loads(str(token)) for token in tree.children)


def _words(line: Line) -> list[Word]:
    """Words split at blanks, or the strings of a JSON array; in both variables are found."""
    array = _array(line)
    if array is not None:
        return [line.word(text, line.rest_at) for text in array]
    return [line.word(text, at) for text, at in _tokens(line, "words")]


def _command(line: Line) -> Command:
    array = _array(line)
    return ShellForm(line.rest) if array is None else ExecForm(array)


def _needs(line: Line, what: str) -> None:
    if not line.rest:
        raise line.error(f"{line.keyword} requires {what}")


def _one_word(line: Line) -> Word:
    line.take_flags(())
    _needs(line, "exactly one argument")
    return line.word(line.rest, line.rest_at)


# --- instructions -------------------------------------------------------------------------------------


def _from(line: Line) -> Instruction:
    flags = line.take_flags(("platform",))
    tokens = _tokens(line, "words")
    if len(tokens) not in (1, 3) or (len(tokens) == 3 and tokens[1][0].lower() != "as"):
        at, length = (tokens[1][1], len(tokens[1][0])) if len(tokens) > 1 else (0, 4)
        raise line.error(
            "FROM requires either one or three arguments",
            at,
            length,
            "write FROM IMAGE or FROM IMAGE AS NAME",
        )
    name = None
    if len(tokens) == 3:
        name = tokens[2][0].lower()
        if not _STAGE_NAME.match(name):
            raise line.error(
                f"invalid name for build stage: {tokens[2][0]!r}",
                tokens[2][1],
                len(tokens[2][0]),
                "a name begins with a letter; letters, digits, - _ and . may follow",
            )
    image = line.word(*tokens[0])
    return syntax.From(image, name, line.word_of(flags, "platform"), line.text, line.span)


def _arg(line: Line) -> Instruction:
    line.take_flags(())
    _needs(line, "at least one argument")
    items = []
    for text, at in _tokens(line, "pairs"):
        name, mark, value = text.partition("=")
        if not name:
            raise line.error("ARG names can not be blank", at, len(text), "write ARG NAME or ARG NAME=VALUE")
        default = line.word(value, at + len(name) + 1) if mark else None
        span = line.logical.span(at, at + len(text))
        items.append(ArgItem(_plain(line, name, at), default, span))
    return syntax.Arg(tuple(items), line.text, line.span)


def _plain(line: Line, text: str, at: int) -> str:
    """A name, its quotes removed."""
    word = line.word(text, at)
    return "".join(part.text for part in word.parts if isinstance(part, syntax.Literal)) or text


def _pairs(line: Line) -> tuple[tuple[Pair, ...], bool]:
    """`key=value …`, or the old form: a key, and all the rest as its value."""
    line.take_flags(())
    _needs(line, "at least one argument")
    tokens = _tokens(line, "pairs")
    first, at = tokens[0]
    if "=" not in first:
        rest_at = at - line.rest_at + len(first)
        value = line.rest[rest_at:].lstrip()
        if not value:
            raise line.error(
                f"{line.keyword} must have two arguments", at, len(first), f"write {first}=VALUE"
            )
        value_at = line.rest_at + len(line.rest) - len(value)
        return (Pair(line.word(first, at), line.word(value, value_at)),), True
    found = []
    for text, place in tokens:
        key, mark, value = text.partition("=")
        if not mark:
            raise line.error(
                f"Syntax error - can't find = in {text!r}: must be of the form name=value",
                place,
                len(text),
                "put values with blanks in quotes",
            )
        if not key:
            raise line.error(f"{line.keyword} names can not be blank", place, len(text))
        found.append(Pair(line.word(key, place), line.word(value, place + len(key) + 1)))
    return tuple(found), False


def _env(line: Line) -> Instruction:
    pairs, legacy = _pairs(line)
    return syntax.Env(pairs, legacy, line.text, line.span)


def _label(line: Line) -> Instruction:
    pairs, legacy = _pairs(line)
    return syntax.Label(pairs, legacy, line.text, line.span)


def _run(line: Line) -> Instruction:
    flags = line.take_flags(("mount", "network", "security", "device"))
    network, security = line.single(flags, "network"), line.single(flags, "security")
    for flag, known in ((network, _NETWORKS), (security, _SECURITIES)):
        if flag is not None and flag.value not in known:
            raise line.error(
                f"invalid {flag.name} mode {flag.value!r}",
                flag.at,
                flag.length,
                f"use one of {', '.join(known)}",
            )
    command = _command(line)
    if isinstance(command, ShellForm):
        if not command.text:
            raise line.error("RUN requires a command", hint="write RUN COMMAND")
        command = ShellForm(line.rest, line.heredocs(bodies=False))
    return syntax.Run(
        command,
        tuple(_mount(line, flag) for flag in flags.get("mount", [])),
        network.value if network else None,
        security.value if security else None,
        tuple(flag.value or "" for flag in flags.get("device", [])),
        line.text,
        line.span,
    )


def _mount(line: Line, flag: FlagText) -> Mount:
    """The comma-separated fields of `--mount`."""
    from lark.exceptions import UnexpectedInput

    if not flag.value:
        raise line.error(
            "missing a value on flag --mount", flag.at, flag.length, "write --mount=type=…,target=…"
        )
    try:
        tree: Any = line_grammar(line.source.escape).parse(flag.value, start="fields")
    except UnexpectedInput:
        raise line.error("the fields of --mount cannot be read", flag.at, flag.length) from None
    at = flag.at + len("--mount=")
    fields = []
    for item in tree.children:
        text = str(item.children[0]) if item.children else ""
        if item.data == "quoted_field":
            text = text[1:-1].replace('""', '"')
        key, mark, value = text.partition("=")
        fields.append((key.strip().lower(), line.word(value, at) if mark else None))
    return Mount(tuple(fields), line.logical.span(flag.at, flag.at + flag.length))


_COPY_FLAGS = ("from", "chown", "chmod", "link", "parents", "exclude")
_ADD_FLAGS = ("chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack")


def _copy(line: Line) -> Instruction:
    flags = line.take_flags(_COPY_FLAGS if line.keyword == "COPY" else _ADD_FLAGS)
    words = _words(line)
    heredocs = line.heredocs(bodies=True)
    if len(words) < 2:
        raise line.error(
            f"{line.keyword} requires at least two arguments, but only {len(words)} were provided. "
            "Destination could not be determined",
            hint=f"write {line.keyword} SOURCE… DESTINATION",
        )
    *written, destination = words
    if heredocs and opening(destination.text) is not None:
        raise line.error("a heredoc cannot be the destination", hint="write the destination behind <<NAME")
    sources = [word for word in written if not heredocs or opening(word.text) is None]
    if len(written) > 1 and not _ends_in_slash(destination):
        raise line.error(
            f"when using {line.keyword} with more than one source, the destination must be a directory and end with a /",
            hint=f"write {destination.text}/",
        )
    exclude = tuple(flag.value or "" for flag in flags.get("exclude", []))
    return syntax.Copy(
        line.keyword,
        tuple(sources),
        heredocs,
        destination,
        line.value(flags, "from"),
        line.word_of(flags, "chown"),
        line.word_of(flags, "chmod"),
        bool(line.boolean(flags, "link")),
        bool(line.boolean(flags, "parents")),
        exclude,
        line.word_of(flags, "checksum"),
        line.boolean(flags, "keep-git-dir"),
        line.boolean(flags, "unpack"),
        line.text,
        line.span,
    )


def _ends_in_slash(word: Word) -> bool:
    """Whether a destination names a directory; one that ends in a variable may."""
    last = word.parts[-1] if word.parts else syntax.Literal("")
    return (
        not isinstance(last, syntax.Literal)
        or last.text.endswith(("/", "/.", "/.."))
        or last.text in (".", "..")
    )


def _workdir(line: Line) -> Instruction:
    return syntax.Workdir(_one_word(line), line.text, line.span)


def _user(line: Line) -> Instruction:
    return syntax.User(_one_word(line), line.text, line.span)


def _stop_signal(line: Line) -> Instruction:
    line.flags.clear()
    return syntax.StopSignal(_one_word(line), line.text, line.span)


def _expose(line: Line) -> Instruction:
    line.take_flags(())
    _needs(line, "at least one argument")
    return syntax.Expose(
        tuple(line.word(text, at) for text, at in _tokens(line, "words")), line.text, line.span
    )


def _volume(line: Line) -> Instruction:
    line.take_flags(())
    words = _words(line)
    if not words:
        raise line.error("VOLUME requires at least one argument")
    for word in words:
        if not word.parts:
            raise line.error("VOLUME specified can not be an empty string", line.rest_at, len(line.rest))
    return syntax.Volume(tuple(words), line.text, line.span)


def _cmd(line: Line) -> Instruction:
    line.take_flags(())
    return syntax.Cmd(_command(line), line.text, line.span)


def _entrypoint(line: Line) -> Instruction:
    line.take_flags(())
    return syntax.Entrypoint(_command(line), line.text, line.span)


def _shell(line: Line) -> Instruction:
    line.take_flags(())
    array = _array(line)
    if array is None:
        raise line.error(
            "SHELL requires the arguments to be in JSON form",
            line.rest_at if line.rest else None,
            len(line.rest),
            'write SHELL ["/bin/sh", "-c"]',
        )
    return syntax.Shell(array, line.text, line.span)


_TIMES = ("interval", "timeout", "start-period", "start-interval")


def _healthcheck(line: Line) -> Instruction:
    _needs(line, "a type: CMD or NONE")
    kind, _, rest = line.rest.partition(" ") if " " in line.rest else (line.rest, "", "")
    kind = re.split(r"\s", kind)[0]
    rest = line.rest[len(kind) :].lstrip()
    if kind.upper() == "NONE":
        if rest:
            raise line.error("HEALTHCHECK NONE takes no arguments", line.rest_at, len(line.rest))
        return syntax.Healthcheck(None, 0, 0, 0, 0, 0, line.text, line.span)
    if kind.upper() != "CMD":
        raise line.error(
            f"unknown type {kind!r} in HEALTHCHECK (try CMD)", line.rest_at, len(kind), "write CMD or NONE"
        )
    if not rest:
        raise line.error("missing command after HEALTHCHECK CMD", line.rest_at, len(line.rest))
    flags = line.take_flags((*_TIMES, "retries"))
    interval, timeout, start_period, start_interval = (
        _time(line, line.single(flags, name)) for name in _TIMES
    )
    retries = line.single(flags, "retries")
    count = 0
    if retries is not None:
        if not re.fullmatch(r"\d{1,9}", retries.value or ""):
            raise line.error(
                "--retries must be a number of at least 1 (or 0 to inherit)", retries.at, retries.length
            )
        count = int(retries.value or "0")
    line.rest_at += len(line.rest) - len(rest)
    line.rest = rest
    return syntax.Healthcheck(
        _command(line), interval, timeout, start_period, start_interval, count, line.text, line.span
    )


def _time(line: Line, flag: FlagText | None) -> int:
    if flag is None:
        return 0
    try:
        found = parse_duration(flag.value or "")
    except ValueError as error:
        raise line.error(
            f"invalid duration for --{flag.name}: {error}", flag.at, flag.length, "write it as 30s or 1m30s"
        ) from None
    if found != 0 and found < 10**6:
        raise line.error(f"--{flag.name} {flag.value} is less than the least, 1ms", flag.at, flag.length)
    return found


def _maintainer(line: Line) -> Instruction:
    line.take_flags(())
    _needs(line, "exactly one argument")
    return syntax.Maintainer(line.rest, line.text, line.span)


Maker = Callable[[Line], Instruction]

MAKERS: dict[str, Maker] = {
    "FROM": _from,
    "ARG": _arg,
    "ENV": _env,
    "LABEL": _label,
    "RUN": _run,
    "COPY": _copy,
    "ADD": _copy,
    "WORKDIR": _workdir,
    "USER": _user,
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "HEALTHCHECK": _healthcheck,
    "MAINTAINER": _maintainer,
}
