"""The syntax tree of a build file: one frozen dataclass for each instruction, each with its span.

The tree says what is written, with nothing expanded and nothing looked up.
"""

from __future__ import annotations

from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Where something is written: lines and columns count from 1, columns in characters, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


EMPTY_LINE = "an empty line continues an instruction"
"""The warning that a check of its own, NoEmptyContinuation, tells of."""


# --- words -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands for itself, its quotes and escapes already removed."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`, `${name}`, or, with an operator, the beginning of `${name OPERATOR argument / replacement}`.

    Operators are those of the shell: `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`.
    """

    name: str
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """The `/` before the replacement, or the `}` at the end, of the innermost variable that is still open."""

    sign: str


Part = Literal | Variable | Mark


@dataclass(frozen=True, slots=True)
class Word:
    """A word as written (`text`) and as parsed (`parts`).

    The parts of what stands in braces follow their variable, up to its mark, in the same row: however deep variables
    are nested, the tree is no deeper.
    """

    parts: tuple[Part, ...]
    text: str
    span: Span


# --- commands ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document. `body` is as written (tabs already stripped for `<<-`); `word` is the body parsed for
    `${…}` where the delimiter was unquoted (`expand`) and the instruction is COPY or ADD, else None. `raw` is the body of a
    `<<-` in RUN with its tabs, for a shell that reads it itself; else it is empty.
    """

    name: str
    body: str
    expand: bool
    strip_tabs: bool
    word: Word | None
    span: Span
    raw: str = ""


@dataclass(frozen=True, slots=True)
class ShellForm:
    """Text for a shell, lines joined, never touched otherwise. Heredocs are those the text names."""

    text: str
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecForm:
    """An argument vector given as a JSON array."""

    argv: tuple[str, ...]


Command = ShellForm | ExecForm


@dataclass(frozen=True, slots=True)
class Pair:
    """`key=value` of ENV or LABEL; both may hold variables."""

    key: Word
    value: Word


@dataclass(frozen=True, slots=True)
class ArgItem:
    """`name` or `name=default` of ARG; the name is taken as it is written, quotes and all."""

    name: str
    default: Word | None
    span: Span


@dataclass(frozen=True, slots=True)
class Mount:
    """One `RUN --mount=` flag: its `key=value` fields in order; a bare key has no value.

    Its checks and meaning are the graph's; here only the CSV form is known.
    """

    fields: tuple[tuple[str, Word | None], ...]
    span: Span


# --- instructions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class From:
    image: Word
    name: str | None  # lower case
    platform: Word | None
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Arg:
    items: tuple[ArgItem, ...]
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Env:
    pairs: tuple[Pair, ...]
    legacy: bool
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Label:
    pairs: tuple[Pair, ...]
    legacy: bool
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Run:
    command: Command
    mounts: tuple[Mount, ...]
    network: str | None
    security: str | None
    devices: tuple[str, ...]
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY and ADD: `keyword` tells which. `from_` is as written, never expanded.

    `destination` is the last word; `heredocs` are sources given in place, `sources` the others, in order.
    `checksum`, `keep_git_dir` and `unpack` are ADD's alone.
    """

    keyword: str
    sources: tuple[Word, ...]
    heredocs: tuple[Heredoc, ...]
    destination: Word
    from_: str | None
    chown: Word | None
    chmod: Word | None
    link: bool
    parents: bool
    exclude: tuple[str, ...]
    checksum: Word | None
    keep_git_dir: bool | None
    unpack: bool | None
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Workdir:
    path: Word
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class User:
    user: Word
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Expose:
    ports: tuple[Word, ...]
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Volume:
    paths: tuple[Word, ...]
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Cmd:
    command: Command
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Entrypoint:
    command: Command
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Shell:
    argv: tuple[str, ...]
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class StopSignal:
    signal: Word
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """`command` is None for NONE; times are nanoseconds, 0 where not given."""

    command: Command | None
    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Onbuild:
    """`trigger` is the text to store; `instruction` is what it parses to, None if it does not parse."""

    trigger: str
    instruction: Instruction | None
    source: str
    span: Span


@dataclass(frozen=True, slots=True)
class Maintainer:
    name: str
    source: str
    span: Span


Instruction = (
    From
    | Arg
    | Env
    | Label
    | Run
    | Copy
    | Workdir
    | User
    | Expose
    | Volume
    | Cmd
    | Entrypoint
    | Shell
    | StopSignal
    | Healthcheck
    | Onbuild
    | Maintainer
)


@dataclass(frozen=True, slots=True)
class Directive:
    """A parser directive: `# escape=`, `# syntax=`, `# check=`; the name is lower case."""

    name: str
    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class StepControl:
    """A setting of a comment `# pybuild: name=value` above an instruction, which is an index into the file's."""

    instruction: int
    name: str
    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a word or a trigger: it counts where `instruction`, an index into the file's, is carried out.

    `argument` is the ARG whose default it is in: it is not even read if the caller gives a value.
    """

    instruction: int
    message: str
    hint: str | None
    span: Span
    argument: str = ""


@dataclass(frozen=True, slots=True)
class BuildFile:
    """A parsed build file. `name` is how messages call it; `lines` are its source lines for excerpts. `controls` say how
    single steps are cached. What has one of the `mistakes` in it must not be expanded.
    """

    name: str
    directives: tuple[Directive, ...]
    instructions: tuple[Instruction, ...]
    warnings: tuple[tuple[str, Span], ...]
    lines: tuple[str, ...]
    controls: tuple[StepControl, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
