"""What there is to do for each kind of step: the parts of its key, and carrying it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from builder.cache.key import Part
from builder.cache.names import LOCAL, Names
from builder.cache.parts import mount_part, run_parts, workdir_parts
from builder.engine.reporter import StepReporter
from builder.engine.session import Session
from builder.graph.arguments import EPOCH
from builder.graph.steps import CopyStep, RunStep, Step, WorkdirStep
from builder.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from builder.cache.portable import Portables
    from builder.engine.copy_work import StateOf
    from builder.engine.mounted import Mounted, Shown
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

    def origin_states(self) -> tuple[bytes, ...]:
        """The states of other stages and of images that the step takes files from."""

    def shown(self) -> Mapping[str, Shown]:
        """What the mounts of a step show, by the labels of their parts."""

    def save_listing(self, folder: str, name: str) -> str:
        """Keep what the step's sources are in files of a folder, for later explanations; their names with commas between them,
        empty if there is nothing to keep. `name` is one that nobody has.
        """

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

    def origin_states(self) -> tuple[bytes, ...]:
        return ()

    def shown(self) -> Mapping[str, Shown]:
        return {}

    def save_listing(self, folder: str, name: str) -> str:
        del folder, name
        return ""

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
        self._mounted: Mounted | None = None
        if any(mount.brings_files for mount in step.mounts):
            from builder.engine.mounted import Mounted  # late: most steps have none

            self._mounted = Mounted(session, step.mounts, state_of)
        self._by_files = False

    def key_parts(self) -> Iterator[tuple[Part, ...]]:
        # What mounts show of stages and images counts by their states, then by its files.
        if self._step.control.recheck:
            # Late: few steps ask the world outside.
            from builder.engine.recheck import recheck

            self._rechecked = (recheck(self._session, self._step, self._parent, self._reporter),)
        if self.origin_states():
            yield self.portable_parts(LOCAL)
        self._by_files = True
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
        mounted = self._mounted
        return run_parts(
            self._step,
            names.of_state(self._parent),
            platform=self._platform,
            mounts=[mount_part(mount) for mount in self._step.mounts]
            if mounted is None
            else mounted.parts(names, by_files=self._by_files),
            surroundings=surroundings,
        )

    def origin_states(self) -> tuple[bytes, ...]:
        return () if self._mounted is None else self._mounted.states()

    def shown(self) -> Mapping[str, Shown]:
        return {} if self._mounted is None or not self._by_files else self._mounted.shown()

    def save_listing(self, folder: str, name: str) -> str:
        del name
        if self._mounted is None:
            return ""
        return ",".join(self._mounted.save_listings(folder, by_files=self._by_files))

    def save_shared_listing(self, portables: Portables, file: str) -> bool:
        # Of mounts of folders of this machine. Those of stages have steps that tell more.
        return self._mounted is not None and self._mounted.save_shared_listing(portables, file)

    def carry_out(self, root: StepRoot, reporter: StepReporter) -> None:
        from builder.engine.mounted import Mounted
        from builder.execute.mounts import Mounts
        from builder.execute.run import Surroundings, run_command

        session, request = self._session, self._session.request
        mounted = self._mounted or Mounted(session, (), self._state_of)
        with Mounts(
            session.store,
            root.run,
            is_folder=session.contexts.is_folder,
            copy_folder=mounted.copy,
            state_of=mounted.state_of,
            begin_of=mounted.name,
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

    def forget_beginning(self) -> None:
        pass

    def kept(self, state: bytes) -> None:
        pass

    def close(self) -> None:
        if self._mounted is not None:
            self._mounted.close()
