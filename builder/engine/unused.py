"""What of a context no step takes: it is looked through and, where a whole folder is copied later, soon copied too."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack

from builder.core.tree import Tree
from builder.engine.contexts import Contexts, Folder
from builder.engine.elsewhere import Fetcher, lies_elsewhere
from builder.engine.inputs import DEFAULT_NAMES, open_inputs
from builder.engine.opening import graph_of
from builder.engine.plans import Plans
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.errors import BuilderError, CoreError
from builder.execute.sources import find_sources
from builder.graph.plan import PlanOptions
from builder.graph.stages import Graph
from builder.graph.steps import CopyStep, FromContext, RunStep
from builder.remote.addresses import is_remote
from builder.store.store import Store
from builder.value import dataclass

# What a build reads itself.
_OWN = frozenset({*DEFAULT_NAMES, ".dockerignore", ".containerignore", ".git"})


@dataclass(frozen=True, slots=True)
class Unused:
    """A file or folder of a context that no step takes: how many entries, and bytes of files, are at and below it."""

    path: str
    entries: int
    size: int


def unused_files(store: Store, request: BuildRequest) -> tuple[Unused, ...]:
    """What no COPY, ADD or bind of the needed stages takes of the main context, the largest first.

    Ignored files are out of sight already. The build file, ignore files and `.git` do not count. Empty for a context that
    is no folder of this machine. Raises `BuilderError`.
    """
    if lies_elsewhere(request.context):
        return ()
    with ExitStack() as stack:
        fetcher = Fetcher(store, request, Events(None), threading.Event(), stack)
        inputs = open_inputs(request, store, fetcher)
        graph = graph_of(request, inputs)
        contexts = Contexts(store, inputs.folders, lambda name, address: fetcher.fetch(address, name).path)
        try:
            folder = contexts.main()
            used = {path.rstrip("/") for path in _used(store, graph, folder.tree)}
            skipped = _OWN | {os.path.basename(graph.file.name)}
            found = [one for one in _unused(folder, used) if one.path not in skipped]
        finally:
            contexts.close()
    return tuple(sorted(found, key=lambda one: (-one.size, one.path)))


def _used(store: Store, graph: Graph, tree: Tree) -> Iterator[str]:
    """The paths that steps take. A source that is not there now takes nothing."""
    plans = Plans(graph, PlanOptions())
    plans.foresee(store, guess=True)
    made = [plans.planned(index) for index in graph.needed]
    for step in (step for plan in made if plan for step in plan.steps):
        sources: tuple[str, ...] = ()
        if isinstance(step, CopyStep) and isinstance(step.origin, FromContext):
            sources = tuple(text for text in step.sources if step.keyword == "COPY" or not is_remote(text))
        elif isinstance(step, RunStep):
            binds = [mount for mount in step.mounts if mount.kind == "bind"]
            sources = tuple(one.source for one in binds if isinstance(one.origin, FromContext | None))
        for source in sources:
            try:
                yield from (found.path for found in find_sources(tree, [source]))
            except BuilderError:
                continue


def _unused(folder: Folder, used: set[str]) -> Iterator[Unused]:
    """Folders are entered only where something below them is used; all else is measured as a whole."""
    if "" in used or "." in used:
        return
    ways = {path[:at] for path in used for at, sign in enumerate(path) if sign == "/"}
    left = [""]
    while left:
        above = left.pop()
        for name in sorted(os.listdir(os.path.join(folder.path, above))):
            path = f"{above}/{name}" if above else name
            if path in used:
                continue
            if path in ways:
                left.append(path)
                continue
            try:
                node = folder.tree.find(os.fsencode(path), follow=False)
                entries, size, _ = folder.tree.measure(node)
            except CoreError:  # ignored, or gone meanwhile
                continue
            yield Unused(path, entries, size)
