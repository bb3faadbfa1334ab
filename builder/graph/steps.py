"""What a stage comes down to: steps with nothing left to expand, and the config they end in."""

from __future__ import annotations

from builder.buildfile.syntax import Span
from builder.image.config import ImageConfig
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class FromContext:
    """Files of the main build context."""


@dataclass(frozen=True, slots=True)
class FromScratch:
    """No files at all: `from=scratch`, and the first content of a cache."""


@dataclass(frozen=True, slots=True)
class FromNamed:
    """Files of a named context, a folder or an image; `name` is its key as the caller gave it."""

    name: str


@dataclass(frozen=True, slots=True)
class FromStage:
    """Files of another stage, by its index in the build file."""

    index: int


@dataclass(frozen=True, slots=True)
class FromImage:
    """Files of an image by its reference."""

    reference: str


Origin = FromContext | FromScratch | FromNamed | FromStage | FromImage


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file given in the build file itself: a heredoc of COPY or ADD, or a script of RUN."""

    name: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class MountSpec:
    """One `RUN --mount`, checked and expanded. `kind` is bind, cache, tmpfs, secret or ssh.

    `origin` and `source` say what a bind shows or a cache begins with; `source` is absolute within it. Of a cache that begins
    empty (`FromScratch`) it is the folder inside that is shown.
    `target` is absolute and clean, and empty for a secret that is only the variable `env`. A bind that is not
    `read_only` takes writes and forgets them. `id` names a cache (with its namespace), a secret or an agent.
    `mode` is None where a kind has none; `size` is the limit of a tmpfs in bytes, 0 for none.
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

    @property
    def brings_files(self) -> bool:
        """Whether it shows, or begins with, files of a context, a stage or an image."""
        if self.kind == "bind":
            return not isinstance(self.origin, FromScratch)
        if self.kind != "cache" or self.origin is None or isinstance(self.origin, FromScratch):
            return False
        # A folder of its own is made where ids or a mode are asked for, and no source.
        return self.source != "/" or (self.uid, self.gid, self.mode) == (0, 0, 0o755)


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One `RUN --device`: a name of the Container Device Interface, and whether the step fails without it."""

    name: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """How a step is cached, by a comment above it: `never`, or only for so many seconds (`expires`, 0 for ever).

    `recheck` is a process whose output counts as part of the key, empty for none; `command` is its text.
    """

    never: bool = False
    expires: int = 0
    recheck: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True, slots=True)
class RunStep:
    """Run one process. `env` is its environment; where it has no HOME, the rootfs decides that.

    `args` is the part of `env` that comes from ARG, for explanations. `hidden_env` holds the proxy variables,
    which enter no key and no history. `scripts` are files for `/dev/pipes/NAME`, read-only. `user` is a USER
    value, empty for root. `network` is `default`, `none` or `host`, `security` `sandbox` or `insecure`;
    `devices` are those of the Container Device Interface. An empty `hostname` means the sandbox's own.
    """

    title: str
    span: Span
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    args: tuple[tuple[str, str], ...]
    hidden_env: tuple[tuple[str, str], ...]
    cwd: str
    user: str
    scripts: tuple[InlineFile, ...] = ()
    mounts: tuple[MountSpec, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[DeviceSpec, ...] = ()
    hostname: str = ""
    control: Control = Control()


@dataclass(frozen=True, slots=True)
class CopyStep:
    """COPY or ADD. `destination` is absolute, clean, and ends in a slash where a folder was written.

    `sources` are as written, with variables expanded: paths and patterns, which a leading `/` or `..` does
    not lead out of the origin, and for ADD URLs and git addresses. `unpack` is whether archives are
    unpacked: None is the default, local ones of ADD.
    """

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
    keep_git_dir: bool | None = None
    control: Control = Control()


@dataclass(frozen=True, slots=True)
class WorkdirStep:
    """Make a directory and its missing parents, mode 0755, owned by `user` (empty for root)."""

    title: str
    span: Span
    path: str
    user: str
    control: Control = Control()


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
    warnings: tuple[tuple[str, Span], ...] = ()
