"""The image config (OCI image spec, config.md), as an immutable view that loses nothing of its base."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from builder.digest import Digest, parse_digest
from builder.errors import ImageError
from builder.image.fields import Fields, load_object, render_json
from builder.image.history import HistoryEntry, history_objects, parse_history
from builder.image.platform import Platform
from builder.value import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of an image that sets none."""


@dataclass(frozen=True, slots=True)
class Health:
    """Docker's `Healthcheck`: `test` is `("NONE",)`, `("CMD", …)` or `("CMD-SHELL", text)`.

    Times are nanoseconds; 0 and empty mean inherited.
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The fields that instructions read and write; None means absent, an empty tuple means given and empty.

    `unknown` and `unknown_config` keep the fields of the base's document, outer and `config`, that are not
    modelled here: a build must not lose them.
    """

    architecture: str = "amd64"
    os: str = "linux"
    variant: str = ""
    os_version: str = ""
    author: str = ""
    env: tuple[tuple[str, str], ...] = ()
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    shell: tuple[str, ...] | None = None
    working_dir: str = ""
    user: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    health: Health | None = None
    onbuild: tuple[str, ...] = ()
    args_escaped: bool = False
    unknown: Mapping[str, Any] = field(default_factory=dict)
    unknown_config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def platform(self) -> Platform:
        """The platform that the image says it is for."""
        return Platform(self.os, self.architecture, self.variant, self.os_version)


@dataclass(frozen=True, slots=True)
class ConfigDocument:
    """A whole config blob: the settings, and how the root file system came about."""

    config: ImageConfig
    created: str
    history: tuple[HistoryEntry, ...]
    diff_ids: tuple[Digest, ...]


_OUTER = frozenset(
    {
        *("architecture", "os", "variant", "os.version", "author", "created"),
        *("config", "history", "rootfs"),
    }
)
_INNER = frozenset(
    {
        *("Env", "Cmd", "Entrypoint", "Shell", "WorkingDir", "User", "Labels", "ExposedPorts"),
        *("Volumes", "StopSignal", "Healthcheck", "OnBuild", "ArgsEscaped"),
    }
)
_WHAT = "image config"


def empty_config(platform: Platform) -> ImageConfig:
    """What `FROM scratch` and a folder as base start with."""
    return ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        os_version=platform.os_version,
        env=() if platform.os == "windows" else (("PATH", DEFAULT_PATH),),
        working_dir="/",
    )


def parse_config(document: bytes) -> ImageConfig:
    """Read the settings of a config blob; an `ImageError` names the field that is wrong."""
    return parse_document(document).config


def parse_document(document: bytes) -> ConfigDocument:
    """Read a config blob (OCI or Docker schema 2). Null counts as absent; wrong types are an `ImageError`."""
    outer = Fields(load_object(document, _WHAT), _WHAT)
    inner = outer.inner("config")
    config = ImageConfig(
        architecture=outer.text("architecture"),
        os=outer.text("os"),
        variant=outer.text("variant"),
        os_version=outer.text("os.version"),
        author=outer.text("author"),
        env=_environment(inner),
        cmd=inner.texts("Cmd"),
        entrypoint=inner.texts("Entrypoint"),
        shell=inner.texts("Shell"),
        working_dir=inner.text("WorkingDir"),
        user=inner.text("User"),
        labels=inner.pairs("Labels"),
        exposed_ports=inner.names("ExposedPorts"),
        volumes=inner.names("Volumes"),
        stop_signal=inner.text("StopSignal"),
        health=_health(inner),
        onbuild=inner.texts("OnBuild") or (),
        args_escaped=inner.flag("ArgsEscaped"),
        unknown=outer.others(_OUTER),
        unknown_config=inner.others(_INNER),
    )
    return ConfigDocument(
        config, outer.text("created"), parse_history(outer.items("history")), _diff_ids(outer)
    )


def render_config(
    config: ImageConfig,
    *,
    created: str = "",
    history: Iterable[HistoryEntry] = (),
    diff_ids: Iterable[Digest] = (),
) -> bytes:
    """Write a config blob as canonical JSON; its SHA-256 is the image's id.

    `created` is RFC 3339 text or empty for none, `diff_ids` are the layers' uncompressed digests, the
    lowest first. Fields of the base that are not modelled are written as they came.
    """
    settings: dict[str, Any] = {
        "Env": [f"{name}={value}" for name, value in config.env] or None,
        "Cmd": _array(config.cmd),
        "Entrypoint": _array(config.entrypoint),
        "Shell": _array(config.shell),
        "WorkingDir": config.working_dir,
        "User": config.user,
        "Labels": dict(config.labels),
        "ExposedPorts": {name: {} for name in config.exposed_ports},
        "Volumes": {name: {} for name in config.volumes},
        "StopSignal": config.stop_signal,
        "Healthcheck": _health_object(config.health),
        "OnBuild": list(config.onbuild),
        "ArgsEscaped": config.args_escaped,
    }
    kept = {"Cmd", "Entrypoint", "Shell"}  # empty and absent are not the same in these
    inner = {name: value for name, value in settings.items() if value or (name in kept and value is not None)}
    outer: dict[str, Any] = {
        "variant": config.variant,
        "os.version": config.os_version,
        "author": config.author,
        "created": created,
        "history": history_objects(history),
    }
    outer = {name: value for name, value in outer.items() if value}
    outer["architecture"] = config.architecture
    outer["os"] = config.os
    outer = _as_unicode(outer)
    outer["config"] = {**config.unknown_config, **_as_unicode(inner)}
    outer["rootfs"] = {"type": "layers", "diff_ids": [str(digest) for digest in diff_ids]}
    return render_json({**config.unknown, **outer})


def _as_unicode(value: Any) -> Any:
    """A JSON value in which bytes of a build file that are no UTF-8 have become the sign for that, U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, dict):
        return {_as_unicode(name): _as_unicode(item) for name, item in value.items()}
    return [_as_unicode(item) for item in value] if isinstance(value, list) else value


def _array(value: tuple[str, ...] | None) -> list[str] | None:
    return None if value is None else list(value)


def _environment(inner: Fields) -> tuple[tuple[str, str], ...]:
    """`Env` as pairs; of a name given twice the last counts, as a process would see it."""
    found: dict[str, str] = {}
    for item in inner.texts("Env") or ():
        name, _, value = item.partition("=")
        if not name:
            raise ImageError(f"{_WHAT}: field config.Env holds {item[:80]!r}, which has no name")
        found[name] = value
    return tuple(found.items())


def _health(inner: Fields) -> Health | None:
    if inner.values.get("Healthcheck") is None:
        return None
    check = inner.inner("Healthcheck")
    return Health(
        check.texts("Test") or (),
        check.number("Interval"),
        check.number("Timeout"),
        check.number("StartPeriod"),
        check.number("StartInterval"),
        check.number("Retries"),
    )


def _health_object(health: Health | None) -> dict[str, Any] | None:
    if health is None:
        return None
    check = {
        "Test": list(health.test),
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
        "Retries": health.retries,
    }
    return {name: value for name, value in check.items() if value} or {"Test": []}


def _diff_ids(outer: Fields) -> tuple[Digest, ...]:
    rootfs = outer.inner("rootfs")
    kind = rootfs.text("type")
    if kind not in ("", "layers"):
        raise ImageError(f"{_WHAT}: field rootfs.type is {kind!r}, only 'layers' is known")
    return tuple(parse_digest(text) for text in rootfs.texts("diff_ids") or ())
