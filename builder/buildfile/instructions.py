"""From a parsed line to its instruction object: one function for each keyword."""

from __future__ import annotations

import re
from collections.abc import Callable

from builder.buildfile import syntax
from builder.buildfile.arguments import Piece, array, fields, quoted_words, words, words_or_array
from builder.buildfile.blanks import BLANKS, PLAIN_BLANKS, PLAIN_WORD
from builder.buildfile.durations import parse_duration
from builder.buildfile.flags import FlagText
from builder.buildfile.heredocs import opening
from builder.buildfile.line import Line, nearest
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
from builder.errors import BuildFileError

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")
_KIND = re.compile(PLAIN_WORD)
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")


# --- forms of arguments -----------------------------------------------------------------------------


def _command(line: Line) -> Command:
    strings = array(line)
    return ShellForm(line.rest) if strings is None else ExecForm(tuple([piece.text for piece in strings]))


def _needs(line: Line, what: str, hint: str) -> None:
    if not line.rest:
        raise line.error(f"{line.keyword} requires {what}", hint=hint)


def _one_word(line: Line, hint: str) -> Word:
    _needs(line, "exactly one argument", hint)
    return line.word(line.rest, line.rest_at)


# --- instructions -------------------------------------------------------------------------------------


def _from(line: Line) -> Instruction:
    tokens = words(line)
    if len(tokens) not in (1, 3) or (len(tokens) == 3 and tokens[1].text.lower() != "as"):
        raise _bad_from(line, tokens)
    name = None
    if len(tokens) == 3:
        name = tokens[2].text.lower()
        if not _STAGE_NAME.match(name):
            raise line.error(
                f"invalid name for a build stage: {tokens[2].text[:80]!r}",
                tokens[2].at,
                len(tokens[2].text),
                "a name begins with a letter; letters, digits, - _ and . may follow",
            )
    flags = line.take_flags(("platform",))
    image = line.word(tokens[0].text, tokens[0].at)
    platform = line.word_of(flags, "platform")
    return syntax.From(image, name, platform if platform and platform.text else None, line.text, line.span)


def _bad_from(line: Line, tokens: list[Piece]) -> BuildFileError:
    if not tokens:
        return line.error("FROM requires an image", hint="write FROM IMAGE or FROM IMAGE AS NAME")
    second, last = tokens[1], tokens[-1]
    hint = "write FROM IMAGE or FROM IMAGE AS NAME"
    if "${" in tokens[0].text and "}" not in tokens[0].text:
        hint = "a blank ends the name of the image, even in ${…}"
    elif second.text.startswith("--"):
        hint = f"flags stand before the image: FROM {second.text[:40]} {tokens[0].text[:80]}"
    elif second.text.startswith("#"):
        hint = "a comment needs a line of its own"
    elif second.text.lower() == "as":
        if len(tokens) == 2:
            return line.error("the name of the stage is missing", second.at, len(second.text), hint)
        second, hint = tokens[3], "a name is one word: write FROM IMAGE AS NAME"
    elif len(tokens) == 3 and nearest(second.text.lower(), ["as"]):
        return line.error(
            f"FROM does not know the word {second.text!r}", second.at, len(second.text), "did you mean AS?"
        )
    length = last.at + len(last.text) - second.at
    return line.error("FROM requires either one or three arguments", second.at, length, hint)


def _arg(line: Line) -> Instruction:
    line.ignore_flags()
    items = []
    pieces = quoted_words(line)
    if not pieces:
        raise line.rest_error("ARG requires at least one argument", "write ARG NAME or ARG NAME=VALUE")
    for piece in pieces:
        name, mark, value = piece.text.partition("=")
        if not name:
            raise line.error(
                "the name before = is missing", piece.at, len(piece.text), "write ARG NAME or ARG NAME=VALUE"
            )
        default = line.word(value, piece.at + len(name) + 1) if mark else None
        span = line.logical.span(piece.at, piece.at + len(piece.text))
        word = line.word(name, piece.at)
        computed = word if any(isinstance(part, syntax.Variable) for part in word.parts) else None
        items.append(ArgItem(_plain(word), default, span, computed))
    return syntax.Arg(tuple(items), line.text, line.span)


def _plain(word: Word) -> str:
    """A name, its quotes removed; one with variables as it is written."""
    plain = [part.text for part in word.parts if isinstance(part, syntax.Literal)]
    return "".join(plain) if len(plain) == len(word.parts) and plain else word.text


def _pairs(line: Line) -> tuple[tuple[Pair, ...], bool]:
    """`key=value …`, or the old form: a key, and all the rest as its value."""
    line.take_flags(())
    pieces = quoted_words(line)
    if not pieces:
        raise line.rest_error(
            f"{line.keyword} requires at least one argument", f"write {line.keyword} NAME=VALUE"
        )
    if "=" not in pieces[0].text:
        return (_old_pair(line),), True
    found = []
    for piece in pieces:
        key, mark, value = piece.text.partition("=")
        if not mark:
            raise line.error(
                f"= is missing in {piece.text[:80]!r}: {line.keyword} takes name=value",
                piece.at,
                len(piece.text),
                "put a value with blanks in quotes",
            )
        if not key:
            raise line.error(
                "the name before = is missing",
                piece.at,
                len(piece.text),
                f"write {line.keyword} NAME=VALUE, without blanks around =",
            )
        found.append(Pair(line.word(key, piece.at), line.word(value, piece.at + len(key) + 1)))
    return tuple(found), False


def _old_pair(line: Line) -> Pair:
    key, *rest = words(line)
    if not rest:
        raise line.error(
            f"{line.keyword} must have two arguments: {key.text[:80]} has no value",
            key.at,
            len(key.text),
            f"write {key.text[:80]}=VALUE",
        )
    start = rest[0].at - line.rest_at
    if line.rest[start] == "=":  # BuildKit takes it; nobody means it
        span = line.logical.span(rest[0].at, rest[0].at + 1)
        line.source.warnings.append(
            (f"the value of {key.text[:80]} begins with =: write NAME=VALUE without blanks", span)
        )
    return Pair(line.word(key.text, key.at), line.word(line.rest[start:], rest[0].at))


def _env(line: Line) -> Instruction:
    pairs, legacy = _pairs(line)
    return syntax.Env(pairs, legacy, line.text, line.span)


def _label(line: Line) -> Instruction:
    pairs, legacy = _pairs(line)
    return syntax.Label(pairs, legacy, line.text, line.span)


def _run(line: Line) -> Instruction:
    flags = line.take_flags(("mount", "network", "security", "device"))
    command = _command(line)
    if isinstance(command, ShellForm):
        if not command.text:
            line.source.warnings.append(("RUN has no command: it runs nothing", line.span))
        command = ShellForm(line.rest, line.heredocs(bodies=False))
    return syntax.Run(
        command,
        tuple([_mount(line, flag) for flag in line.values(flags, "mount")]),
        _choice(line, flags, "network", _NETWORKS),
        _choice(line, flags, "security", _SECURITIES),
        tuple([flag.value or "" for flag in line.values(flags, "device")]),
        line.text,
        line.span,
    )


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


_COPY_FLAGS = ("from", "chown", "chmod", "link", "parents", "exclude")
_ADD_FLAGS = ("chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack")


def _copy(line: Line) -> Instruction:
    flags = line.take_flags(_COPY_FLAGS if line.keyword == "COPY" else _ADD_FLAGS)
    pieces = words_or_array(line)
    if len(pieces) < 2:
        given = "none" if not pieces else "only one"
        raise line.rest_error(
            f"{line.keyword} requires at least two arguments, but {given} was given: the destination is missing",
            f"write {line.keyword} SOURCE… DESTINATION",
        )
    is_here = [bool(line.logical.heredocs) and opening(piece.text) is not None for piece in pieces]
    if is_here[-1]:
        raise line.error(
            "a heredoc cannot be the destination",
            pieces[-1].at,
            len(pieces[-1].text),
            f"write the destination behind it: {line.keyword} {pieces[-1].text[:40]} /path",
        )
    heredocs = line.heredocs(bodies=True)
    *sources, destination = [
        line.word(piece.text, piece.at, piece.length)
        for piece, here in zip(pieces, is_here, strict=True)
        if not here
    ]
    exclude = tuple([flag.value or "" for flag in line.values(flags, "exclude")])
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
    _needs(line, "at least one argument", "write EXPOSE PORT or EXPOSE PORT/udp")
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


def _cmd(line: Line) -> Instruction:
    line.take_flags(())
    return syntax.Cmd(_command(line), line.text, line.span)


def _entrypoint(line: Line) -> Instruction:
    line.take_flags(())
    return syntax.Entrypoint(_command(line), line.text, line.span)


def _shell(line: Line) -> Instruction:
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


_TIMES = ("interval", "timeout", "start-period", "start-interval")


def _healthcheck(line: Line) -> Instruction:
    _needs(line, "a type: CMD or NONE", "write HEALTHCHECK CMD COMMAND or HEALTHCHECK NONE")
    match = _KIND.match(line.rest)
    assert match is not None
    kind, rest = match[0], line.rest[match.end() :].lstrip(PLAIN_BLANKS)
    rest_at = line.rest_at + len(line.rest) - len(rest)
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
    command = _command(line)
    if isinstance(command, ExecForm) and not command.argv:
        raise line.rest_error(
            "the command after HEALTHCHECK CMD is empty", 'write CMD ["program", "argument"]'
        )
    return syntax.Healthcheck(
        command, interval, timeout, start_period, start_interval, retries, line.text, line.span
    )


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


def _maintainer(line: Line) -> Instruction:
    line.take_flags(())
    _needs(
        line,
        "exactly one argument",
        "write MAINTAINER NAME, or better LABEL org.opencontainers.image.authors=NAME",
    )
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
