"""The work of COPY and ADD: finding and fingerprinting the sources, fetching those that lie elsewhere."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby

from builder.cache.key import Part
from builder.cache.links import links_of
from builder.cache.names import LOCAL, Names
from builder.cache.parts import copy_parts
from builder.core.tree import Tree
from builder.engine.normal import AS_THEY_ARE
from builder.engine.reporter import StepReporter
from builder.engine.session import Session
from builder.errors import StepError
from builder.execute.sources import (
    Exclusion,
    MissingSource,
    Source,
    check_required,
    find_sources,
    makes_folder,
    see_why,
)
from builder.graph.steps import CopyStep, FromNamed
from builder.remote.addresses import is_remote
from builder.store.records import Record
from builder.store.runs import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.cache.portable import Portables
    from builder.engine.incremental import Delta
    from builder.engine.mounted import Shown
    from builder.engine.remotes import Remote
    from builder.execute.copy import Bundle
    from builder.execute.rootfs import StepRoot

# Gives the state of another stage or image that a step takes files from.
StateOf = Callable[[object], bytes]

_MANY = 1000


class CopyWork:
    """See `builder.engine.work.Work`."""

    process = False

    def __init__(
        self,
        session: Session,
        reporter: StepReporter,
        step: CopyStep,
        parent: bytes,
        platform: str,
        state_of: StateOf,
    ) -> None:
        self.alone = step.link
        self._session, self._step, self._parent, self._platform = session, step, parent, platform
        self._reporter = reporter
        # ADD's sources elsewhere and those of the context take turns; COPY has one group.
        self._groups = [(key, tuple(group)) for key, group in groupby(step.sources, self._lies_elsewhere)]
        self._origin_state: bytes | None = None
        if step.sources and not session.contexts.is_folder(step.origin):
            self._origin_state = state_of(step.origin)
        self._stack = ExitStack()
        self._is_open = False
        self._tree: Tree | None = None
        self._tree_fd = -1
        self._sources: list[tuple[Source, ...]] = []
        self._remotes: dict[str, Remote] = {}
        self._exclusion = self._stack.enter_context(Exclusion(step.exclude))
        self._delta: Delta | None = None
        self._earlier: Record | None = None

    def _lies_elsewhere(self, source: str) -> bool:
        return self._step.keyword == "ADD" and is_remote(source)

    @property
    def _from_folder(self) -> bool:
        return self._origin_state is None

    @property
    def _without_owner(self) -> bool:
        # COPY gives files of a folder to root, so that who owns them here changes nothing.
        return self._origin_state is None or self._step.chown is not None

    def key_parts(self) -> Iterator[tuple[Part, ...]]:
        """The parts of the step's keys; sources elsewhere are asked whether they changed, and fetched if they did."""
        if self._origin_state is not None:
            yield self.portable_parts(LOCAL)
        self._open()
        yield self.portable_parts(LOCAL)

    def portable_parts(self, names: Names) -> tuple[Part, ...]:
        """The parts that `key_parts` gave last, with names that mean the same on every machine."""
        parent = names.of_state(self._parent)
        if self._origin_state is not None and not self._is_open:
            origin = names.of_state(self._origin_state).hex()
            whole = [Part("from", source, origin) for source in self._step.sources]
            whole += self._session.normal.parts()
            return copy_parts(self._step, parent, whole, platform=self._platform)
        with self._locked():
            files = list(self._source_parts(names))
        files += self._session.normal.parts()
        return copy_parts(self._step, parent, files, platform=self._platform)

    def _source_parts(self, names: Names) -> Iterator[Part]:
        """In the order of the line: of two files with one name the later one stays."""
        sources = iter(self._sources)
        for elsewhere, group in self._groups:
            if elsewhere:
                yield from (self._remotes[address].part for address in group)
            else:
                yield from (self._file_part(source, names) for source in next(sources))
        if self._step.parents and self._tree is not None:
            yield from self._parents_parts(self._tree)

    def _parents_parts(self, tree: Tree) -> Iterator[Part]:
        """What else counts with `--parents`: which sources share hard links, and whether the destination is made."""
        if links := links_of(tree, 0):
            groups = Counter(source.group for group in self._sources for source in group)
            yield Part("links", "", f"{links} {' '.join(map(str, groups.values()))}")
        if not any(makes_folder(tree, word) for word in self._step.sources):
            yield Part("parents", "", "no folder to look in")

    def _file_part(self, source: Source, names: Names) -> Part:
        assert self._tree is not None
        exclude = self._exclusion.of(source)
        if exclude is not None and source.required:
            check_required(self._tree, source, exclude)
        value = names.files(self._tree, source.node, exclude=exclude, without_owner=self._without_owner)
        for folder in source.parents:  # their modes are recreated, their other contents are not
            entry = self._tree.entry(self._tree.find(os.fsencode(folder)))
            value += f" {entry.mode:o}" if self._without_owner else f" {entry.mode:o}:{entry.uid}:{entry.gid}"
        value += links_of(self._tree, source.node, exclude=exclude)
        return Part("file", source.path, value)

    def _open(self) -> None:
        """Find the sources; once."""
        step = self._step
        self._is_open = True
        if not step.sources or self._sources or self._remotes:
            return
        for elsewhere, group in self._groups:
            if elsewhere:
                # Late: most builds fetch nothing.
                from builder.engine.remotes import find_remote

                for address in group:
                    self._remotes[address] = find_remote(
                        self._session.store,
                        step,
                        address,
                        secrets=self._session.request.secrets,
                        cancelled=self._session.cancelled,
                        progress=self._reporter.progress,
                    )
                continue
            place = self._open_tree()
            assert self._tree is not None
            with self._locked():
                try:
                    self._sources.append(find_sources(self._tree, group, parents=step.parents, place=place))
                except MissingSource as error:
                    if self._origin_state is None:
                        see_why(error, self._tree_fd, self._session.contexts.of(step.origin).hint)
                    raise

    def _open_tree(self) -> str:
        """Open the tree of the sources; how messages call it."""
        step = self._step
        if self._origin_state is not None:
            place = "the stage or image it comes from"
            from builder.execute.rootfs import open_state

            fd = open_state(self._session.store, self._origin_state)
            if fd < 0:  # it has no files: an empty folder stands for it
                fd = self._session.store.open_empty()
            self._stack.callback(os.close, fd)
            secret, spare = self._session.store.secret, self._session.store.fd
            self._tree = self._stack.enter_context(Tree(fd, secret=secret, spare_fd=spare))
            self._tree_fd = fd
            return place
        folder = self._session.contexts.of(step.origin)
        self._folder_lock = folder.lock
        self._tree, self._tree_fd = folder.tree, folder.fd
        return (
            f'the context "{step.origin.name}"' if isinstance(step.origin, FromNamed) else "the build context"
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The tree of a context is shared by the stages of a build."""
        if self._tree is None or self._origin_state is not None:
            yield
            return
        with self._folder_lock:
            yield

    def origin_states(self) -> tuple[bytes, ...]:
        """The state of the stage or image that it takes files from."""
        return () if self._origin_state is None else (self._origin_state,)

    def shown(self) -> Mapping[str, Shown]:
        """It has no mounts."""
        return {}

    def save_listing(self, folder: str, name: str) -> str:
        """Keep what the step's sources are in a file of a folder; see `builder.engine.work.Work`."""
        nodes: Sequence[int] = [source.node for group in self._sources for source in group]
        if self._tree is None or not nodes:
            return ""
        file = os.path.join(folder, name)
        from builder.store.listings import writing  # late: a cached build writes none

        exclude = self._exclusion.of(Source(nodes[0], "", ""))
        with writing(file), self._locked():
            self._tree.save_listing(nodes, file, exclude=exclude, without_owner=self._without_owner)
        return name

    @property
    def makes_many(self) -> bool:
        """Whether the sources have so many files that it matters where on the disk they lie."""
        if self._tree is None:
            return False
        with self._locked():
            return any(
                self._tree.measure(source.node)[0] >= _MANY for group in self._sources for source in group
            )

    def save_shared_listing(self, portables: Portables, file: str) -> bool:
        """See `builder.engine.work.Work`: of sources in folders of this machine. Those of stages have steps that tell more."""
        sources = [source for group in self._sources for source in group]
        if self._tree is None or not sources or not self._from_folder:
            return False
        with Exclusion(self._step.exclude) as exclusion, self._locked():
            portables.save_listing(
                self._tree,
                [source.node for source in sources],
                file,
                exclude=exclusion.of(Source(sources[0].node, "", "")),
                without_owner=self._without_owner,
            )
        return True

    def carry_out(self, root: StepRoot, reporter: StepReporter) -> None:
        """Copy the files."""
        from builder.execute.copy import copy_files
        from builder.execute.copyfolder import copy_one_folder
        from builder.execute.rootfs import open_state
        from builder.graph.owners import names_somebody

        del reporter
        step = self._step
        if self._delta is not None:
            with self._locked():
                self._copy_delta(root, self._delta)
            return
        with ExitStack() as stack:
            parent_fd = -1
            if step.chown and names_somebody(step.chown) and not self._session.store.lowers(self._parent):
                raise StepError(
                    f"--chown={step.chown}: there are no files below that say who that is",
                    hint="write numbers, such as --chown=1000:1000",
                    about=(f"--chown={step.chown}",),
                )
            if self.alone:
                parent_fd = open_state(self._session.store, self._parent)
                if parent_fd >= 0:
                    stack.callback(os.close, parent_fd)
            bundles = list(self._bundles(root, stack))
            users_fd = parent_fd if parent_fd >= 0 else root.fd
            with self._locked():
                copied = copy_one_folder(
                    self._step,
                    root,
                    bundles,
                    self._exclusion.of,
                    users_fd=users_fd,
                    to_root=self._from_folder,
                    on_unknown=self._warn_of_unknown,
                )
                if copied is None:
                    copied = copy_files(
                        self._step,
                        root.fd,
                        bundles,
                        self._exclusion.of,
                        users_fd=users_fd,
                        to_root=self._from_folder,
                        time=self._session.normal.time,
                        on_unknown=self._warn_of_unknown,
                    )
        self._session.store.meter.count(read=copied)

    def begin_with(self, run: Run, parts: tuple[Part, ...], earlier: Record, listing: str) -> bool:
        """Begin with an earlier result of the step, so that only what changed since is left to copy; whether that works."""
        from builder.engine.incremental import find_delta, prepare

        step, sources = self._step, [source for group in self._sources for source in group]
        if self.alone or step.inline or step.parents or self._origin_state is not None or self._remotes:
            return False
        if len(sources) != 1 or self._tree is None or self._tree.entry(sources[0].node).kind != "d":
            return False
        with self._locked():
            delta = find_delta(self._session.store, step, sources[0], self._tree, parts, earlier, listing)
        if delta is None or not prepare(self._session.store, step, run, self._parent, earlier, delta):
            return False
        self._delta, self._earlier = delta, earlier
        return True

    def forget_beginning(self) -> None:
        """The step begins anew, with nothing of an earlier result."""
        self._delta = None

    def kept(self, state: bytes) -> None:
        """Of a line of results that each begin with the one before only the last keeps the hashes of all files."""
        if self._delta is not None and self._earlier is not None:
            store = self._session.store
            snapshot, freed = store.states.drop_facts(self._earlier.state, state)
            if freed:
                store.sizes.shrank(snapshot, freed)

    def _warn_of_unknown(self, what: str) -> None:
        self._session.events.warn(
            f"--chown={self._step.chown}: the files below know {what}",
            f"{self._session.graph.file.name}:{self._step.span.line}",
        )

    def _copy_delta(self, root: StepRoot, delta: Delta) -> None:
        """Copy what changed over the earlier result."""
        from builder.engine.incremental import recall
        from builder.execute.copy import copy_changes

        assert self._tree is not None and self._earlier is not None
        recall(self._session.store, root, self._earlier)
        (source,) = self._sources[0]
        targets = []
        for path in delta.changed:
            inside = f"{source.path}/{path}" if source.path else path
            node = self._tree.find(os.fsencode(inside), follow=False)
            targets.append((Source(node, inside, os.path.basename(path)), f"{self._step.destination}/{path}"))
        copied = copy_changes(
            self._step,
            root.fd,
            self._tree,
            targets,
            users_fd=root.fd,
            time=self._session.normal.time,
            chmod=self._session.normal.chmod,
            on_unknown=self._warn_of_unknown,
        )
        self._session.store.meter.count(read=copied)

    def _bundles(self, root: StepRoot, stack: ExitStack) -> Iterator[Bundle]:
        """The sources in the order of the line; those that lie elsewhere are laid into folders of the run."""
        from builder.execute.copy import Bundle

        step = self._step
        sources = iter(self._sources)
        for elsewhere, group in self._groups:
            if not elsewhere:
                assert self._tree is not None
                unpack = step.keyword == "ADD" and step.unpack is not False
                normal = self._session.normal if self._from_folder else AS_THEY_ARE
                yield Bundle(self._tree, self._tree_fd, next(sources), unpack, normal.time, normal.chmod)
                continue
            for address in group:
                folder = os.path.join(root.run.scratch, os.urandom(4).hex())
                os.mkdir(folder, 0o755)
                laid = self._remotes[address].lay_out(folder)
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                tree = stack.enter_context(Tree(fd, secret=self._session.store.secret))
                source = Source(tree.find(os.fsencode(laid.path), follow=True), laid.path, laid.name)
                yield Bundle(tree, fd, (source,), bool(step.unpack) and laid.is_file, laid.time)

    def close(self) -> None:
        """Let go of what `key_parts` opened."""
        if self._tree is not None and self._origin_state is not None:
            hashed = self._tree.stats().bytes_hashed
            self._session.store.meter.count(read=hashed, hashed=hashed)
        self._stack.close()
