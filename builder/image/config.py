"""The image config (OCI image spec, config.md), as an immutable view that loses nothing of its base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Health:
    """Docker's `Healthcheck`: `test` is `("NONE",)`, `("CMD", …)` or `("CMD-SHELL", text)`; times in nanoseconds."""

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
