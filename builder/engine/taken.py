"""Which files of the context each COPY and ADD takes, and which ignore rule keeps a path out or in. Runs nothing."""

from __future__ import annotations

import os
import posixpath
import threading
from contextlib import ExitStack

from builder.buildfile.ignorefile import IgnoreRule
from builder.engine.contexts import Contexts, compile_rules, ignore_rules
from builder.engine.elsewhere import Fetcher
from builder.engine.inputs import Inputs, open_inputs
from builder.engine.opening import graph_of
from builder.engine.plans import Plans
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.errors import BuilderError, Location, UsageError
from builder.execute.sources import Exclusion, find_sources
from builder.graph.places import locate
from builder.graph.plan import PlanOptions
from builder.graph.stages import Graph
from builder.graph.steps import CopyStep, FromImage, FromNamed, FromStage, Origin
from builder.remote.addresses import is_remote, without_password
from builder.store.store import Store, default_store_path, open_store
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class TakenFile:
    """An entry of a context: `kind` is `f`ile, `d`irectory, `l`ink, …; `size` is in bytes.

    Of kind `here-document` is a file whose text stands in the build file.
    """

    kind: str
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class TakenStep:
    """What one COPY or ADD takes of a context: the main one, or that called `context`. `error` says what is wrong.

    `elsewhere` are sources that only a build can look into: other stages, images, URLs and git repositories.
    """

    title: str
    location: Location
    context: str
    files: tuple[TakenFile, ...]
    error: str = ""
    elsewhere: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether ignore rules keep a path of the context out, and the rule that decided, None if none matches."""

    path: str
    exists: bool
    ignored: bool
    file: str
    rule: IgnoreRule | None
    taken_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextReport:
    """The ignore file that holds (empty: none), what each step takes, and the verdicts on the paths asked about."""

    ignore_file: str
    rules: int
    steps: tuple[TakenStep, ...]
    verdicts: tuple[Verdict, ...]


def taken_files(request: BuildRequest, paths: tuple[str, ...] = ()) -> ContextReport:
    """Find out what the steps that `request` needs take of their contexts, and about `paths` of the main one.

    Variables that a base image sets count only if the store has that image. Raises `BuilderError`.
    """
    with (
        open_store(request.store or default_store_path(), userxattr=request.userxattr) as store,
        ExitStack() as stack,
    ):
        fetcher = Fetcher(store, request, Events(None), threading.Event(), stack)
        inputs = open_inputs(request, store, fetcher)
        graph = graph_of(request, inputs)
        contexts = Contexts(store, inputs.folders, lambda name, address: fetcher.fetch(address, name).path)
        try:
            steps = tuple(_taken(graph, contexts, step) for step in _copies(store, graph))
        finally:
            contexts.close()
        return ContextReport(*_rules(inputs), steps, _verdicts(inputs, paths, steps))


def _copies(store: Store, graph: Graph) -> list[CopyStep]:
    """The COPY and ADD steps of the stages that are needed."""
    plans = Plans(graph, PlanOptions())
    plans.foresee(store, guess=True)
    made = [plans.planned(index) for index in graph.needed]
    return [step for plan in made if plan for step in plan.steps if isinstance(step, CopyStep)]


def _taken(graph: Graph, contexts: Contexts, step: CopyStep) -> TakenStep:
    location = locate(graph.file, step.span)
    name = step.origin.name if isinstance(step.origin, FromNamed) else ""
    if not contexts.is_folder(step.origin):
        return TakenStep(step.title, location, name, (), elsewhere=(_origin(graph, step.origin),))
    remote = tuple(source for source in step.sources if step.keyword == "ADD" and is_remote(source))
    sources = tuple(source for source in step.sources if source not in remote)
    inline = [TakenFile("here-document", len(file.content), file.name) for file in step.inline]
    shown = tuple(without_password(address) for address in remote)
    if not sources:
        return TakenStep(step.title, location, name, tuple(inline), elsewhere=shown)
    folder = contexts.of(step.origin)
    files: dict[str, TakenFile] = {}
    try:
        with folder.lock, ExitStack() as stack:
            exclusion = stack.enter_context(Exclusion(step.exclude))
            for source in find_sources(folder.tree, sources, parents=step.parents):
                for kind, size, path in folder.tree.list(source.node, exclude=exclusion.of(source)):
                    files[path] = TakenFile(kind, size, path or ".")
    except BuilderError as error:
        return TakenStep(step.title, location, name, (), error.message, shown)
    found = (*inline, *(files[path] for path in sorted(files)))
    return TakenStep(step.title, location, name, found, elsewhere=shown)


def _origin(graph: Graph, origin: Origin) -> str:
    """How an origin that is no folder is called."""
    if isinstance(origin, FromStage):
        stage = graph.stages[origin.index]
        return f"stage {stage.name or origin.index}"
    if isinstance(origin, FromImage):
        return f"image {origin.reference}"
    return f"image of the context {origin.name}" if isinstance(origin, FromNamed) else "nothing"


def _rules(inputs: Inputs) -> tuple[str, int]:
    name, rules = _main_rules(inputs)
    return name, len(rules)


def _main_rules(inputs: Inputs) -> tuple[str, tuple[IgnoreRule, ...]]:
    source = inputs.folders[""]
    return ignore_rules(source.path, source.ignore_file) if source.local else ("", ())


def _verdicts(inputs: Inputs, paths: tuple[str, ...], steps: tuple[TakenStep, ...]) -> tuple[Verdict, ...]:
    if not paths:
        return ()
    root = inputs.folders[""].path
    name, rules = _main_rules(inputs)
    ignore = compile_rules(name, rules)
    found = []
    for written in paths:
        path = _inside(root, written)
        ignored, number = ignore.match(path) if ignore is not None else (False, -1)
        exists = os.path.lexists(os.path.join(root, path))
        takers = tuple(
            step.title
            for step in steps
            if not step.context
            and any(path in (file.path, ".") for file in step.files if file.kind != "here-document")
        )
        found.append(Verdict(path, exists, ignored, name, rules[number] if number >= 0 else None, takers))
    return tuple(found)


def _inside(root: str, written: str) -> str:
    """A path as rules see it: relative to the context. One that is written from the current folder is found too.

    Raises a `UsageError` for one that leads out of the context.
    """
    # As in COPY, a slash in front is the context's root; but whole paths of this machine are found as well.
    path = posixpath.normpath(written.lstrip("/"))
    if (os.path.lexists(written) and not os.path.lexists(os.path.join(root, path))) or path.split("/")[
        0
    ] == "..":
        below = os.path.relpath(_real(written), os.path.realpath(root))
        path = below if below.split("/")[0] != ".." or written.startswith("/") else path
    if path.split("/")[0] == "..":
        raise UsageError(
            f'"{written}" is not in the build context "{root}"', hint="give paths relative to the context"
        )
    return path


def _real(path: str) -> str:
    """A path without links above its last part, which may be one itself."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)
