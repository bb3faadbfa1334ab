"""What a stage comes down to: steps with nothing left to expand, and the config they end in."""

from __future__ import annotations

from dataclasses import dataclass, field

from builder.buildfile.syntax import Span
from builder.image.config import ImageConfig


@dataclass(frozen=True, slots=True)
class FromContext:
    """Files of the main build context."""


@dataclass(frozen=True, slots=True)
class FromNamed:
    """Files of a named context that is a folder (`--build-context name=DIR`)."""

    name: str


@dataclass(frozen=True, slots=True)
class FromStage:
    """Files of another stage, by its index in the build file."""

    index: int


@dataclass(frozen=True, slots=True)
class FromImage:
    """Files of an image by its reference."""

    reference: str


Origin = FromContext | FromNamed | FromStage | FromImage


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file given in the build file itself: a heredoc of COPY or ADD, or a script of RUN."""

    name: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class MountSpec:
    """One `RUN --mount`, checked and expanded. `kind` is bind, cache, tmpfs, secret or ssh.

    `origin` and `source` say what a bind or the first content of a cache comes from. `target` is absolute.
    """

    kind: str
    target: str
    origin: Origin | None = None
    source: str = "/"
    read_only: bool = True
    id: str = ""
    sharing: str = "shared"
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    size: int = 0
    env: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class RunStep:
    """Run one process. `env` is all of its environment but HOME, which the rootfs decides; `hidden_env` holds
    the proxy variables, which enter no key and no history. `scripts` are files for `/dev/pipes/NAME`.
    """

    title: str
    span: Span
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    args: tuple[tuple[str, str], ...]  # the part of env that comes from ARG, for explanations
    hidden_env: tuple[tuple[str, str], ...]
    cwd: str
    user: str
    scripts: tuple[InlineFile, ...] = ()
    mounts: tuple[MountSpec, ...] = ()
    network: str = "default"
    security: str = "sandbox"


@dataclass(frozen=True, slots=True)
class CopyStep:
    """COPY or ADD. `destination` is absolute and keeps the slash at its end, if one was written."""

    title: str
    span: Span
    keyword: str
    origin: Origin
    sources: tuple[str, ...]
    inline: tuple[InlineFile, ...]
    destination: str
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    unpack: bool | None = None
    checksum: str | None = None
    keep_git_dir: bool = False


@dataclass(frozen=True, slots=True)
class WorkdirStep:
    """Make a directory, its missing parents too, owned by `user` (a USER value, empty for root), mode 0755."""

    title: str
    span: Span
    path: str
    user: str


Step = RunStep | CopyStep | WorkdirStep


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One entry of the image's history; `step` is an index into the stage's steps, None for config only."""

    created_by: str
    step: int | None


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage once its base is known: what to do, and the config that the stage ends with.

    `args` are the ARG values at its end, which a stage built FROM this one inherits.
    """

    steps: tuple[Step, ...]
    config: ImageConfig
    history: tuple[HistoryItem, ...]
    args: tuple[tuple[str, str | None], ...] = ()
    warnings: tuple[tuple[str, Span], ...] = field(default=())
