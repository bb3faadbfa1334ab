"""What there is to do for each kind of step: the parts of its key, and carrying it out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

from builder.cache.key import Part
from builder.cache.parts import copy_parts, mount_part, run_parts, workdir_parts
from builder.core.files import Copier, CopyOptions
from builder.core.tree import Ignore, Tree
from builder.engine.session import Session, StepReporter
from builder.errors import StepError
from builder.execute.copy import copy_files
from builder.execute.mounts import Mounts
from builder.execute.rootfs import StepRoot, open_state
from builder.execute.run import Surroundings, run_command
from builder.execute.sources import Source, find_sources
from builder.execute.workdir import make_workdir
from builder.graph.steps import (
    CopyStep,
    FromContext,
    FromNamed,
    FromScratch,
    MountSpec,
    Origin,
    RunStep,
    Step,
    WorkdirStep,
)

# Gives the state of another stage or image that a step takes files from.
StateOf = Callable[[object], bytes]


class Work(Protocol):
    """One step's work. `alone` and `process` are what `StepRoot` wants to know."""

    alone: bool
    process: bool

    def key_parts(self) -> Iterator[tuple[Part, ...]]:
        """The parts of the step's keys: a cheap one first where there is one, the complete one last."""
        ...

    def save_listing(self, file: str) -> bool:
        """Keep what the step's sources were, for later explanations; False if there is nothing to keep."""
        ...

    def carry_out(self, root: StepRoot, reporter: StepReporter) -> None:
        """Make the step's changes in its root file system."""
        ...

    def close(self) -> None:
        """Let go of what `key_parts` opened."""
        ...


def work_for(session: Session, step: Step, parent: bytes, platform: str, state_of: StateOf) -> Work:
    """The work of a step on a parent state."""
    if isinstance(step, RunStep):
        return _RunWork(session, step, parent, platform, state_of)
    if isinstance(step, CopyStep):
        return _CopyWork(session, step, parent, platform, state_of)
    return _WorkdirWork(step, parent)


class _WorkdirWork:
    alone = False
    process = False

    def __init__(self, step: WorkdirStep, parent: bytes) -> None:
        self._step, self._parent = step, parent

    def key_parts(self) -> Iterator[tuple[Part, ...]]:
        yield workdir_parts(self._step, self._parent)

    def save_listing(self, file: str) -> bool:
        del file
        return False

    def carry_out(self, root: StepRoot, reporter: StepReporter) -> None:
        del reporter
        make_workdir(self._step, root.fd)

    def close(self) -> None:
        pass


class _RunWork:
    alone = False
    process = True

    def __init__(
        self, session: Session, step: RunStep, parent: bytes, platform: str, state_of: StateOf
    ) -> None:
        request = session.request
        self._session, self._step, self._parent = session, step, parent
        self._platform, self._state_of = platform, state_of
        self._surroundings = Surroundings(
            request.network, request.add_hosts, request.shm_size, request.ulimits
        )

    def key_parts(self) -> Iterator[tuple[Part, ...]]:
        around = self._surroundings
        surroundings = [Part("host", name, "") for name, _ in around.extra_hosts]
        surroundings += [Part("limit", name, f"{soft}:{hard}") for name, soft, hard in around.limits]
        if around.shm_size is not None:
            surroundings.append(Part("shm-size", "", str(around.shm_size)))
        if around.network != "default" and self._step.network == "default":
            surroundings.append(Part("network", "build", around.network))
        yield run_parts(
            self._step,
            self._parent,
            platform=self._platform,
            mounts=[self._mount_part(mount) for mount in self._step.mounts],
            surroundings=surroundings,
        )

    def save_listing(self, file: str) -> bool:
        del file
        return False

    def carry_out(self, root: StepRoot, reporter: StepReporter) -> None:
        session = self._session
        with Mounts(
            session.store,
            root.run,
            is_folder=session.contexts.is_folder,
            copy_folder=self._copy_folder,
            state_of=self._state_of,
            secrets=session.request.secrets,
        ) as mounts:
            prepared = mounts.prepare(self._step.mounts, self._step.scripts)
            run_command(
                self._step,
                root.fd,
                root.run.scratch,
                env=mounts.env,
                mounts=prepared,
                surroundings=self._surroundings,
                on_output=reporter.output,
                cancelled=session.cancelled,
            )

    def _copy_folder(self, origin: Origin, source: str, dest_fd: int) -> None:
        """Bring what a bind shows of a folder on this machine into a directory, seen through its ignore rules."""
        folder = self._session.contexts.of(origin)
        with folder.lock:
            (found,) = find_sources(folder.tree, [source], place="the build context")
            with Copier(dest_fd, CopyOptions(uid=0, gid=0)) as copier:
                path = "/" + found.path
                if folder.tree.entry(found.node).kind == "d":
                    copier.add_folder(folder.tree, found.node, os.fsencode(path))
                copier.add(folder.tree, found.node, os.fsencode(path))

    def _mount_part(self, mount: MountSpec) -> Part:
        """A mount's part of the key: of a bind with the fingerprint of what it shows."""
        contexts, origin, content = self._session.contexts, mount.origin or FromContext(), ""
        if mount.kind != "bind" or isinstance(origin, FromScratch):
            return mount_part(mount)
        if contexts.is_folder(origin):
            folder = contexts.of(origin)
            with folder.lock:
                (found,) = find_sources(folder.tree, [mount.source], place="the build context")
                content = folder.tree.fingerprint(found.node, without_owner=True).hex()
        else:
            content = self._state_of(origin).hex()
        return mount_part(mount, content)

    def close(self) -> None:
        pass


class _CopyWork:
    process = False

    def __init__(
        self, session: Session, step: CopyStep, parent: bytes, platform: str, state_of: StateOf
    ) -> None:
        self.alone = step.link
        self._session, self._step, self._parent, self._platform = session, step, parent, platform
        self._origin_state: bytes | None = None
        if step.sources and not session.contexts.is_folder(step.origin):
            self._origin_state = state_of(step.origin)
        self._stack = ExitStack()
        self._tree: Tree | None = None
        self._tree_fd = -1
        self._sources: tuple[Source, ...] = ()
        self._exclude: Ignore | None = None

    @property
    def _without_owner(self) -> bool:
        # COPY gives files of a folder to root, so that who owns them here changes nothing.
        return self._origin_state is None or self._step.chown is not None

    def key_parts(self) -> Iterator[tuple[Part, ...]]:
        step = self._step
        if self._origin_state is not None:
            whole = [Part("from", source, self._origin_state.hex()) for source in step.sources]
            yield copy_parts(step, self._parent, whole, platform=self._platform)
        self._open()
        with self._locked():
            files = [self._file_part(source) for source in self._sources]
        yield copy_parts(step, self._parent, files, platform=self._platform)

    def _file_part(self, source: Source) -> Part:
        assert self._tree is not None
        fingerprint = self._tree.fingerprint(
            source.node, exclude=self._exclude, without_owner=self._without_owner
        )
        value = fingerprint.hex()
        for folder in source.parents:  # their modes are recreated, their other contents are not
            entry = self._tree.entry(self._tree.find(os.fsencode(folder)))
            value += f" {entry.mode:o}" if self._without_owner else f" {entry.mode:o}:{entry.uid}:{entry.gid}"
        return Part("file", source.path, value)

    def _open(self) -> None:
        """Find the sources; once."""
        step = self._step
        if not step.sources or self._tree is not None:
            return
        if step.exclude:
            self._exclude = self._stack.enter_context(Ignore(step.exclude))
        place = "the build context"
        if self._origin_state is not None:
            place = "the stage or image it comes from"
            fd = open_state(self._session.store, self._origin_state)
            if fd < 0:
                raise StepError(f'"{step.sources[0]}" is not in {place}: that has no files')
            self._stack.callback(os.close, fd)
            self._tree = self._stack.enter_context(Tree(fd, secret=self._session.store.secret))
            self._tree_fd = fd
        else:
            folder = self._session.contexts.of(step.origin)
            if isinstance(step.origin, FromNamed):
                place = f'the context "{step.origin.name}"'
            self._folder_lock = folder.lock
            self._tree, self._tree_fd = folder.tree, folder.fd
        with self._locked():
            self._sources = find_sources(self._tree, step.sources, parents=step.parents, place=place)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The tree of a context is shared by the stages of a build."""
        if self._tree is None or self._origin_state is not None:
            yield
            return
        with self._folder_lock:
            yield

    def save_listing(self, file: str) -> bool:
        if self._tree is None or not self._sources:
            return False
        nodes: Sequence[int] = [source.node for source in self._sources]
        with self._locked():
            self._tree.save_listing(nodes, file, exclude=self._exclude, without_owner=self._without_owner)
        return True

    def carry_out(self, root: StepRoot, reporter: StepReporter) -> None:
        del reporter
        parent_fd = open_state(self._session.store, self._parent) if self.alone else -1
        try:
            with self._locked():
                copy_files(
                    self._step,
                    root.fd,
                    self._tree,
                    self._tree_fd,
                    self._sources,
                    self._exclude,
                    users_fd=parent_fd if parent_fd >= 0 else root.fd,
                    to_root=self._origin_state is None,
                )
        finally:
            if parent_fd >= 0:
                os.close(parent_fd)

    def close(self) -> None:
        self._stack.close()
