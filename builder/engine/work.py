"""What there is to do for each kind of step: the parts of its key, and carrying it out."""

from __future__ import annotations

import os
from collections.abc import Iterator

from builder.cache.key import Part
from builder.cache.links import links_of
from builder.cache.names import LOCAL, Names
from builder.cache.parts import mount_part, run_parts, workdir_parts
from builder.engine.reporter import StepReporter
from builder.engine.session import Session
from builder.graph.arguments import EPOCH
from builder.graph.steps import (
    CopyStep,
    FromContext,
    FromScratch,
    MountSpec,
    Origin,
    RunStep,
    Step,
    WorkdirStep,
)
from builder.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from builder.cache.portable import Portables
    from builder.engine.copy_work import StateOf
    from builder.execute.rootfs import StepRoot
else:
    Protocol = object


class Work(Protocol):
    """One step's work. `alone` and `process` are what `StepRoot` wants to know."""

    alone: bool
    process: bool

    @property
    def makes_many(self) -> bool:
        """Whether it is known to make many files."""

    def key_parts(self) -> Iterator[tuple[Part, ...]]:
        """The parts of the step's keys: a cheap one first where there is one, the complete one last."""

    def portable_parts(self, names: Names) -> tuple[Part, ...]:
        """The parts that `key_parts` gave last, with names that mean the same on every machine."""

    def save_listing(self, file: str) -> bool:
        """Keep what the step's sources were, for later explanations; False if there is nothing to keep."""

    def save_shared_listing(self, portables: Portables, file: str) -> bool:
        """The same as every machine has it, while the build goes on, also after `close`; False if there is nothing to keep."""

    def carry_out(self, root: StepRoot, reporter: StepReporter) -> None:
        """Make the step's changes in its root file system."""

    def forget_beginning(self) -> None:
        """The step begins anew, with nothing of an earlier result."""

    def kept(self, state: bytes) -> None:
        """What the step made is in the store now, as the files of `state`."""

    def close(self) -> None:
        """Let go of what `key_parts` opened."""


def work_for(
    session: Session, reporter: StepReporter, step: Step, parent: bytes, platform: str, state_of: StateOf
) -> Work:
    """The work of a step on a parent state; `reporter` is told how far its downloads are."""
    if isinstance(step, RunStep):
        return _RunWork(session, reporter, step, parent, platform, state_of)
    if isinstance(step, CopyStep):
        from builder.engine.copy_work import CopyWork

        return CopyWork(session, reporter, step, parent, platform, state_of)
    return _WorkdirWork(session, step, parent)


class _WorkdirWork:
    alone = False
    process = False
    makes_many = False

    def __init__(self, session: Session, step: WorkdirStep, parent: bytes) -> None:
        self._session, self._step, self._parent = session, step, parent

    def key_parts(self) -> Iterator[tuple[Part, ...]]:
        yield self.portable_parts(LOCAL)

    def portable_parts(self, names: Names) -> tuple[Part, ...]:
        parts = workdir_parts(self._step, names.of_state(self._parent))
        return (*parts, *self._session.normal.parts())

    def save_listing(self, file: str) -> bool:
        del file
        return False

    def save_shared_listing(self, portables: Portables, file: str) -> bool:
        del portables, file
        return False

    def carry_out(self, root: StepRoot, reporter: StepReporter) -> None:
        del reporter
        from builder.execute.workdir import make_workdir

        make_workdir(self._step, root.fd)

    def forget_beginning(self) -> None:
        pass

    def kept(self, state: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class _RunWork:
    alone = False
    process = True
    makes_many = False  # nobody knows

    def __init__(
        self,
        session: Session,
        reporter: StepReporter,
        step: RunStep,
        parent: bytes,
        platform: str,
        state_of: StateOf,
    ) -> None:
        if session.fixed_time is not None and EPOCH not in dict(step.env):
            step = replace(step, env=(*step.env, (EPOCH, str(session.fixed_time))))
        self._session, self._step, self._parent = session, step, parent
        self._platform, self._state_of = platform, state_of
        self._reporter = reporter
        self._rechecked: tuple[Part, ...] = ()

    def key_parts(self) -> Iterator[tuple[Part, ...]]:
        if self._step.control.recheck:
            # Late: few steps ask the world outside.
            from builder.engine.recheck import recheck

            self._rechecked = (recheck(self._session, self._step, self._parent, self._reporter),)
        yield self.portable_parts(LOCAL)

    def portable_parts(self, names: Names) -> tuple[Part, ...]:
        around = self._session.request
        surroundings = [Part("host", name, "") for name, _ in around.add_hosts]
        surroundings += [Part("limit", name, f"{soft}:{hard}") for name, soft, hard in around.ulimits]
        if around.shm_size is not None:
            surroundings.append(Part("shm-size", "", str(around.shm_size)))
        if around.network != "default" and self._step.network == "default":
            surroundings.append(Part("network", "build", around.network))
        surroundings += self._session.normal.parts()
        surroundings += self._rechecked
        return run_parts(
            self._step,
            names.of_state(self._parent),
            platform=self._platform,
            mounts=[self._mount_part(mount, names) for mount in self._step.mounts],
            surroundings=surroundings,
        )

    def save_listing(self, file: str) -> bool:
        del file
        return False

    def save_shared_listing(self, portables: Portables, file: str) -> bool:
        del portables, file
        return False

    def carry_out(self, root: StepRoot, reporter: StepReporter) -> None:
        from builder.execute.mounts import Mounts
        from builder.execute.run import Surroundings, run_command

        session, request = self._session, self._session.request
        with Mounts(
            session.store,
            root.run,
            is_folder=session.contexts.is_folder,
            copy_folder=self._copy_folder,
            state_of=self._state_of,
            secrets=session.request.secrets,
            restore=session.remote.restore if session.remote is not None else None,
        ) as mounts:
            prepared = mounts.prepare(self._step.mounts, self._step.scripts)
            run_command(
                self._step,
                root.fd,
                root.run.scratch,
                env=mounts.env,
                mounts=prepared,
                surroundings=Surroundings(
                    request.network, request.allow, request.add_hosts, request.shm_size, request.ulimits
                ),
                on_output=reporter.output,
                cancelled=session.cancelled,
                secrets=request.secrets.values(),
            )

    def _copy_folder(self, origin: Origin, source: str, dest_fd: int) -> None:
        """Bring what a bind shows of a folder on this machine into a directory, seen through its ignore rules."""
        from builder.core.files import Copier, CopyOptions
        from builder.execute.sources import find_sources

        folder = self._session.contexts.of(origin)
        with folder.lock:
            (found,) = find_sources(folder.tree, [source], place="the build context")
            normal = self._session.normal
            options = CopyOptions(uid=0, gid=0, time=normal.time, symbolic_mode=normal.chmod)
            with Copier(dest_fd, options) as copier:
                path = "/" + found.path
                if folder.tree.entry(found.node).kind == "d":
                    copier.add_folder(folder.tree, found.node, os.fsencode(path))
                copier.add(folder.tree, found.node, os.fsencode(path))

    def _mount_part(self, mount: MountSpec, names: Names) -> Part:
        """A mount's part of the key: with the fingerprint of what a bind shows, or a cache begins with."""
        contexts, origin, content = self._session.contexts, mount.origin or FromContext(), ""
        if mount.kind not in ("bind", "cache") or isinstance(origin, FromScratch):
            return mount_part(mount)
        if contexts.is_folder(origin):
            from builder.execute.sources import MissingSource, find_sources, see_why

            folder = contexts.of(origin)
            with folder.lock:
                try:
                    (found,) = find_sources(folder.tree, [mount.source], place="the build context")
                except MissingSource as error:
                    see_why(error, folder.fd)
                    raise
                content = names.files(folder.tree, found.node, exclude=None, without_owner=True)
                content += links_of(folder.tree, found.node)
        else:
            content = names.of_state(self._state_of(origin)).hex()
        return mount_part(mount, content)

    def forget_beginning(self) -> None:
        pass

    def kept(self, state: bytes) -> None:
        pass

    def close(self) -> None:
        pass
