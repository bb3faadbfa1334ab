"""What the official parser (Go, through the package `dockerfile`) says of a build file, against our tree.

The official parser is BuildKit's first stage only: what its second stage refuses (counts of arguments, values of flags,
unknown instructions) it takes. So: what it refuses we must refuse, what both take must mean the same, and what only we
refuse must not be for a reason that the first stage knows, which `FIRST_STAGE` lists by our messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import dockerfile

from builder.buildfile import syntax
from builder.buildfile.heredocs import opening
from builder.buildfile.parse import parse
from builder.buildfile.syntax import ExecForm, Instruction, ShellForm, Word
from builder.errors import BuildFileError

FIRST_STAGE = r"unterminated heredoc|can't find =|holds strings only|given twice|escape token|longer than|NUL"


def compare(text: bytes) -> str:
    """Parse a text by both. Returns `both`, `neither` or `ours` (the last: only we refuse it, as BuildKit does later).

    Anything else is an AssertionError.
    """
    try:
        official = dockerfile.parse_string(text.decode("utf-8", "surrogateescape"))
        refused = ""
    except dockerfile.GoParseError as error:
        official, refused = (), str(error)
    try:
        tree = parse(text, "Buildfile")
    except BuildFileError as error:
        if refused:
            return "neither"
        for one in (error, *error.others):
            assert not re.search(FIRST_STAGE, one.message), f"only we refuse it: {one.message}\n{text!r}"
        return "ours"
    assert not refused, f"only the official parser refuses it: {refused}\n{text!r}"
    assert len(official) == len(tree.instructions), (text, official, tree.instructions)
    for theirs, mine in zip(official, tree.instructions, strict=True):
        _same(theirs, mine, text)
    return "both"


def _same(theirs: dockerfile.Command, mine: Instruction, text: bytes) -> None:
    assert theirs.start_line == mine.span.line, (text, theirs, mine)
    if not (isinstance(mine, syntax.Run | syntax.Copy | syntax.Onbuild) and theirs.heredocs):
        assert theirs.end_line == max(mine.span.end_line, theirs.start_line) or _ends_in_nothing(text), (
            text,
            theirs,
            mine,
        )
    inner = mine
    name = theirs.cmd.upper()
    if isinstance(mine, syntax.Onbuild):
        assert name == "ONBUILD"
        if mine.instruction is None:
            return  # only the second stage takes triggers apart, where they are carried out
        inner, name = mine.instruction, (theirs.sub_cmd or "").upper()
    keyword = inner.keyword if isinstance(inner, syntax.Copy) else type(inner).__name__.upper()
    assert name == keyword, (text, theirs, mine)
    if inner is not mine and b"`" in text:
        return  # triggers are parsed once more, by themselves and with a backslash, which only the second stage does
    said = list(theirs.value)
    if isinstance(inner, syntax.Copy):
        said = [word for word in said[:-1] if not inner.heredocs or opening(word) is None] + said[-1:]
    assert said == list(_values(inner, said)), (text, theirs, inner)
    if inner is mine:  # of a trigger it does not say them
        found = _heredocs(inner)
        # The official parser leaves the tabs of `<<-` to its second stage.
        cut = [re.sub(r"(?m)^\t+", "", heredoc.content) for heredoc in theirs.heredocs]
        assert [(heredoc.name, heredoc.body) for heredoc in found] == [
            (heredoc.name, cut[number] if found[number].strip_tabs else heredoc.content)
            for number, heredoc in enumerate(theirs.heredocs)
        ], (text, theirs, inner)
    flags = list(_flags(inner))
    for flag in theirs.flags:
        if not isinstance(inner, syntax.Arg | syntax.StopSignal) and not (
            isinstance(inner, syntax.Healthcheck) and inner.command is None
        ):
            assert flag in flags, (text, theirs, flags)


def _ends_in_nothing(text: bytes) -> bool:
    """A continuation that only comments, blank lines or the end of the file follow: nobody has to know where it ends."""
    return (
        re.search(rb"[\\`][ \t]*\r?\n(\s*(#[^\n]*)?\n)*\s*(#[^\n]*)?\Z|[\\`][ \t]*\Z", text) is not None
        or re.search(rb"[\\`][ \t]*\r?\n(?:[ \t\r]*(?:#[^\n]*)?\n)+", text) is not None
    )


def _values(mine: Instruction, said: list[str]) -> Iterator[str]:
    match mine:
        case syntax.From():
            yield mine.image.text
            if mine.name is not None:
                assert mine.name == said[2].lower()
                yield from said[1:3]
        case syntax.Env() | syntax.Label():
            for pair in mine.pairs:
                yield pair.key.text
                yield pair.value.text
        case syntax.Arg():
            for item in mine.items:
                yield item.name if item.default is None else f"{item.name}={item.default.text}"
        case syntax.Run() | syntax.Cmd() | syntax.Entrypoint():
            yield from _command(mine.command)
        case syntax.Healthcheck():
            assert said[0].upper() == ("NONE" if mine.command is None else "CMD")
            yield said[0]
            if mine.command is not None:
                yield from _command(mine.command)
        case syntax.Shell():
            yield from mine.argv
        case syntax.Copy():
            yield from _texts(mine.sources)
            yield mine.destination.text
        case syntax.Workdir():
            yield mine.path.text
        case syntax.User():
            yield mine.user.text
        case syntax.StopSignal():
            yield mine.signal.text
        case syntax.Expose():
            yield from _texts(mine.ports)
        case syntax.Volume():
            yield from _texts(mine.paths)
        case syntax.Maintainer():
            yield mine.name
        case _:
            raise AssertionError(mine)


def _command(command: syntax.Command) -> Iterator[str]:
    if isinstance(command, ExecForm):
        yield from command.argv
    else:
        yield from (command.text,) if command.text else ()


def _texts(words: tuple[Word, ...]) -> Iterator[str]:
    for word in words:
        yield word.text


def _heredocs(mine: Instruction) -> tuple[syntax.Heredoc, ...]:
    if isinstance(mine, syntax.Run) and isinstance(mine.command, ShellForm):
        return mine.command.heredocs
    return mine.heredocs if isinstance(mine, syntax.Copy) else ()


def _flags(mine: Instruction) -> Iterator[str]:
    """The flags as somebody may have written them."""
    match mine:
        case syntax.From():
            yield f"--platform={mine.platform.text if mine.platform else ''}"
        case syntax.Run():
            for mount in mine.mounts:
                fields = ",".join(key if word is None else f"{key}={word.text}" for key, word in mount.fields)
                yield f"--mount={fields}"
            yield f"--network={mine.network}"
            yield f"--security={mine.security}"
            yield from (f"--device={device}" for device in mine.devices)
        case syntax.Copy():
            yield f"--from={mine.from_}"
            for name in ("chown", "chmod", "checksum"):
                word = getattr(mine, name)
                yield f"--{name}={word.text if word else ''}"
            for name in ("link", "parents", "keep_git_dir", "unpack"):
                flag = name.replace("_", "-")
                if getattr(mine, name):
                    yield from (f"--{flag}", f"--{flag}=true", f"--{flag}=1")
                else:
                    yield f"--{flag}=false"
            yield from (f"--exclude={pattern}" for pattern in mine.exclude)
        case syntax.Healthcheck():
            yield from (f"--retries={mine.retries}",)
            yield from mine.source.split()
