"""What a caller asks a build for."""

from __future__ import annotations

from collections.abc import Mapping

from builder.value import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from builder.cache.spec import CacheSpec


@dataclass(frozen=True, slots=True)
class Output:
    """One `--output`: its type (`image`, `oci`, `docker`, `local`, `tar`, `registry`, `cacheonly`), where it goes
    (`-` is standard output), and its other attributes by name.
    """

    type: str
    dest: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """The arguments of `builder.build`, checked for nothing yet."""

    context: str = "."
    file: str | None = None
    tags: tuple[str, ...] = ()
    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    build_contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    platform: str | None = None
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    network: str = "default"
    allow: tuple[str, ...] = ()
    add_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int | None = None
    ulimits: tuple[tuple[str, int, int], ...] = ()
    cache_from: tuple[CacheSpec, ...] = ()
    cache_to: tuple[CacheSpec, ...] = ()
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    push: bool = False
    load: bool = False
    jobs: int | None = None
    store_limit: int | None = None
    store: str | None = None
    reproducible: bool = False
    verify: tuple[str, ...] | None = None
    require: tuple[str, ...] = ()
    docker_config: str | None = None
    auth_config: str | None = field(default=None, repr=False)
    stdin: BinaryIO | None = None
    stdout: BinaryIO | None = None
    userxattr: bool = False
    wait: bool = True


def outputs_of(request: BuildRequest) -> tuple[Output, ...]:
    """What to deliver: what was asked for, and without a word an image in the store."""
    outputs = request.outputs
    if request.push:
        outputs = (*outputs, Output("registry"))
    if request.load or not outputs or (request.tags and all(o.type in ("local", "tar") for o in outputs)):
        outputs = (Output("image"), *outputs)
    return outputs
