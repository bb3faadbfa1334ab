"""The shell text of RUN lines: as joined lines, as the body of a here-document, or as an array."""

from __future__ import annotations

from builder.buildfile.syntax import BuildFile, ExecForm, Heredoc, Instruction, Onbuild, Run, Span
from builder.lint.finding import Hit
from builder.lint.places import Source
from builder.lint.shell import ShellCommand, commands_of
from builder.lint.walk import Facts, Visit
from builder.value import dataclass

SHELLS = frozenset(("sh", "bash", "dash", "ash", "ksh"))
_DEFAULT = ("/bin/sh", "-c")


class Places:
    """Where the characters of a script stand: in joined lines, in a body, or nowhere in particular."""

    def __init__(
        self,
        file: BuildFile,
        whole: Span,
        *,
        source: Source | None = None,
        start: int = 0,
        body: Heredoc | None = None,
    ) -> None:
        self._file = file
        self._whole = whole
        self._source = source
        self._start = start
        self._body = body

    def span(self, text: str, start: int, end: int) -> Span:
        """The place of a part of the script's text."""
        if self._source is not None:
            return self._source.span(self._start + start, self._start + end)
        if self._body is None:
            return self._whole
        line = text.count("\n", 0, start)
        last = text.count("\n", 0, max(end, start + 1) - 1)
        column = start - text.rfind("\n", 0, start)
        end_column = end - text.rfind("\n", 0, max(end, start + 1) - 1)
        return in_body(self._file, self._body, line, column, last, end_column)


def in_body(file: BuildFile, body: Heredoc, line: int, column: int, last: int, end_column: int) -> Span:
    """The place of lines (from 0) and columns (from 1) of a here-document, whose tabs may have been taken off."""
    first = body.span.line

    def shift(number: int) -> int:
        if not body.strip_tabs or first + number > len(file.lines):
            return 0
        raw = file.lines[first + number - 1]
        return len(raw) - len(raw.lstrip("\t"))

    return Span(first + line, column + shift(line), first + last, end_column + shift(last))


@dataclass(frozen=True, slots=True)
class Script:
    """What one RUN gives to a shell; `line` is the instruction of the file, `run` the RUN in it (of ONBUILD too).

    `shell` is the shell's argument vector; `is_exec` says that there is none. `body` is the here-document that
    is the script.
    """

    visit: Visit
    line: Instruction
    run: Run
    text: str
    shell: tuple[str, ...]
    commands: tuple[ShellCommand, ...]
    places: Places
    is_exec: bool = False
    body: Heredoc | None = None

    def hit(self, command: ShellCommand, message: str) -> Hit:
        """A finding about one of the commands."""
        return Hit(self.line, self.places.span(self.text, command.start, command.end), message)

    def mounts_over(self, *fragments: str) -> bool:
        """Whether a cache or tmpfs mount has one of the texts in its target."""
        for mount in self.run.mounts:
            fields = {key: word.text for key, word in mount.fields if word is not None}
            target = fields.get("target") or fields.get("dst") or fields.get("destination") or ""
            if fields.get("type") in ("cache", "tmpfs") and any(part in target for part in fragments):
                return True
        return False


def scripts_of(facts: Facts) -> tuple[Script, ...]:
    """The scripts of all RUN lines, also those that ONBUILD keeps for later."""
    if facts.scripts is None:
        found = []
        for visit in facts.visits:
            inner = visit.line.instruction if isinstance(visit.line, Onbuild) else visit.line
            if isinstance(inner, Run):
                script = _script(facts, visit, inner)
                if script is not None:
                    found.append(script)
        facts.scripts = tuple(found)
    return facts.scripts


def _script(facts: Facts, visit: Visit, run: Run) -> Script | None:
    shell = visit.shell or _DEFAULT
    line = visit.line
    command = run.command
    if isinstance(command, ExecForm):
        return _exec(facts, visit, run, command.argv)
    if not _is_posix(shell):
        return None
    if len(command.heredocs) == 1:
        body = command.heredocs[0]
        first = commands_of(command.text)
        alone = not first and not command.text.lstrip("0123456789<- \t\"'").strip("\"'").removeprefix(
            body.name
        )
        fed = len(first) == 1 and _shell_name(first[0].name) in SHELLS and not first[0].plain()
        if alone or fed:
            inner = (first[0].name,) if fed else shell
            if body.body.startswith("#!"):
                inner = _shebang(body.body)
                if not _is_posix(inner):
                    return None
            places = Places(facts.file, line.span, body=body)
            return Script(visit, line, run, body.body, inner, commands_of(body.body), places, body=body)
    source = Source(facts.file, line, facts.escape)
    start = len(source.text) - len(command.text)
    places = Places(facts.file, line.span, source=source, start=start)
    return Script(visit, line, run, command.text, shell, commands_of(command.text), places)


def _exec(facts: Facts, visit: Visit, run: Run, argv: tuple[str, ...]) -> Script | None:
    """A command without a shell, or with one of its own."""
    if not argv:
        return None
    places = Places(facts.file, visit.line.span)
    if (
        _shell_name(argv[0]) in SHELLS
        and len(argv) > 2
        and argv[-2].startswith("-")
        and argv[-2].endswith("c")
    ):
        return Script(
            visit, visit.line, run, argv[-1], argv[:-1], commands_of(argv[-1]), places, is_exec=True
        )
    command = ShellCommand(argv[0], argv[1:], 0, 0)
    return Script(visit, visit.line, run, "", (), (command,), places, is_exec=True)


def _shebang(text: str) -> tuple[str, ...]:
    words = text.partition("\n")[0][2:].split()
    if words and _shell_name(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    return tuple(words) or ("",)


def _shell_name(path: str) -> str:
    return path.rpartition("/")[2]


def _is_posix(shell: tuple[str, ...]) -> bool:
    return bool(shell) and _shell_name(shell[0]) in (*SHELLS, "zsh", "busybox")
