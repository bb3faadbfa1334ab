"""`builder.build`: the library's one call to build an image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from builder.cache.spec import CacheSpec
from builder.engine.request import BuildRequest, Output
from builder.engine.result import BuildResult
from builder.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


def build(
    context: str = ".",
    *,
    file: str | None = None,
    tags: Sequence[str] = (),
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    build_contexts: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    outputs: Sequence[Output] = (),
    platform: str | None = None,
    no_cache: bool = False,
    no_cache_filter: Sequence[str] = (),
    pull: bool = False,
    push: bool = False,
    load: bool = False,
    network: str = "default",
    allow: Sequence[str] = (),
    add_hosts: Sequence[tuple[str, str]] = (),
    shm_size: int | None = None,
    ulimits: Sequence[tuple[str, int, int]] = (),
    secrets: Mapping[str, bytes] | None = None,
    cache_from: Sequence[CacheSpec] = (),
    cache_to: Sequence[CacheSpec] = (),
    jobs: int | None = None,
    store_limit: int | None = None,
    reproducible: bool = False,
    verify: Sequence[str] | None = None,
    require: Sequence[str] = (),
    store: str | None = None,
    docker_config: str | None = None,
    auth_config: str | None = None,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
    userxattr: bool = False,
    wait: bool = True,
    on_event: Callable[[Event], None] | None = None,
    on_delivered: Callable[[BuildResult], None] | None = None,
    cancelled: threading.Event | None = None,
) -> BuildResult:
    """Build an image from a build file and a context folder.

    Args:
        context: The folder that COPY and ADD take files from.
        file: Path of the build file; `-` reads it from `stdin`. Default: `Buildfile`, `Dockerfile` or
            `Containerfile` in the context.
        tags: Names for the image in the store, and to push it by.
        target: The stage to build; default is the last.
        build_args: Values of `ARG`s. SOURCE_DATE_EPOCH among them sets the image's times.
        build_contexts: Named contexts: a folder, `oci-layout://FOLDER[:TAG]` or `docker-image://REFERENCE`.
        labels: Labels of the image; they win over `LABEL` lines.
        outputs: Where results go; default is an image in the store.
        platform: `os/architecture[/variant]`; default is this machine's.
        no_cache: Look nothing up in the cache; results are kept all the same.
        no_cache_filter: Stages and steps (`build/2`, or the text of a line) for which nothing is looked up.
        pull: Ask registries what a base's name stands for, even if the store has an image of that name.
        push: Push the image by each of its names.
        load: Keep the image in the store, whatever the other outputs.
        network: What RUN sees: `default` and `host` are this machine's network, `none` is an empty one.
        allow: What the caller consents to: `network.host` for `RUN --network=host`.
        add_hosts: Names and addresses for /etc/hosts.
        shm_size: Bytes of /dev/shm.
        ulimits: Limits as (name, soft, hard).
        secrets: Contents of secrets by id, for RUN --mount=type=secret.
        cache_from: Remote caches to look steps up in: `CacheSpec("registry", {"ref": …})`, see docs/cache.md.
        cache_to: Remote caches to write to.
        jobs: Steps that may work at once; default is the number of processors.
        store_limit: Bytes that the store is kept below; default is the limit that it has itself, 0 is none.
        reproducible: The same files give the same image anywhere: times are SOURCE_DATE_EPOCH (1980 without one), files
            of contexts have the modes that git keeps; see docs/reproducible.md.
        require: Conditions on the result, such as `hit-rate>=0.8`; the result says which are not met.
        verify: Run these steps twice more and compare what they leave: names such as `build/2`, of a stage (its RUNs) or text
            of instructions; without any every RUN. What is found is `verified` in the result.
        store: The store's folder; default is the user's own, `default_store_path()` says which.
        docker_config: Path of Docker's config.json, for credentials.
        auth_config: Credentials themselves, as text in the form of config.json; they are looked at first.
        stdin: Where `file="-"` reads.
        stdout: Where outputs with `dest="-"` go.
        userxattr: The process is root of a user namespace (`builder.sandbox.ways.enter`).
        wait: Wait until what was made is on the disk, and in the remote caches. Without it processes of their own see to that,
            and the result is there earlier: if the machine loses power by then, what was made counts for nothing. What
            goes wrong with a cache is told by the next build that writes one.
        on_event: Called with every event, by one thread at a time.
        on_delivered: Called with the result when the outputs are done, before the build waits for remote caches that it writes;
            again if files of the store turn out to be damaged then, and the outputs have to be made once more.
        cancelled: Set it to stop the build.

    Returns:
        The image's digests and how each step ended.

    Raises:
        BuilderError: With a message for people, where it happened, and what to do; see `builder.errors`.
    """
    request = BuildRequest(
        context=context,
        file=file,
        tags=tuple(tags),
        target=target,
        build_args=dict(build_args or {}),
        build_contexts=dict(build_contexts or {}),
        labels=dict(labels or {}),
        outputs=tuple(outputs),
        platform=platform,
        no_cache=no_cache,
        no_cache_filter=tuple(no_cache_filter),
        pull=pull,
        network=network,
        allow=tuple(allow),
        add_hosts=tuple(add_hosts),
        shm_size=shm_size,
        ulimits=tuple(ulimits),
        secrets=dict(secrets or {}),
        push=push,
        load=load,
        cache_from=tuple(cache_from),
        cache_to=tuple(cache_to),
        jobs=jobs,
        store_limit=store_limit,
        reproducible=reproducible,
        verify=None if verify is None else tuple(verify),
        require=tuple(require),
        store=store,
        docker_config=docker_config,
        auth_config=auth_config,
        stdin=stdin,
        stdout=stdout,
        userxattr=userxattr,
        wait=wait,
    )
    # Late: what is above is all that a caller needs to prepare a build.
    from builder.engine.build import run_build

    return run_build(request, on_event, cancelled or threading.Event(), on_delivered)
