"""Root file systems to read from and to work in, made of a state's snapshots.

A merged view is a detached overlay mount: nothing but a descriptor, gone when its last user is gone, so that a
killed build leaves no mount behind.
"""

from __future__ import annotations

import os
from types import TracebackType

from builder.core.changes import Changes, clamp_times, settle
from builder.core.process import overlay_mount
from builder.store.grounds import mount_run
from builder.store.runs import Run
from builder.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.core.facts import Facts

# Of fewer files than these nothing is noted: they are read again in no time.
_WORTH_KNOWING = 200


def open_state(store: Store, state: bytes) -> int:
    """A descriptor of a state's files, for reading only; -1 for the empty state, which has none."""
    lowers = store.lowers(state)
    if not lowers:
        return -1
    if len(lowers) == 1:
        return os.open(lowers[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
    return overlay_mount(store.fd, lowers, None, None, userxattr=store.userxattr)


class StepRoot:
    """The root file system that one step works in: a parent state below, an empty directory for changes on top.

    Use it as a context manager; what was not taken by `settle` and the store is removed at its end.
    """

    def __init__(self, store: Store, run: Run, parent: bytes, *, alone: bool = False, process: bool = False):
        """Mount it. With `alone` the parent is out of sight (`COPY --link`); `process` says that one will run."""
        self.run = run
        self._store = store
        self._lowers = [] if alone else store.lowers(parent)
        if self._lowers or process:
            self.fd = mount_run(store, run, self._lowers)
        else:
            self.fd = os.open(run.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
        self._parent = parent
        self._alone = alone
        self._known: Facts | None = None

    @property
    def known(self) -> Facts:
        """What is known of the files in the upper directory; a step that runs no process may know before it is settled."""
        if self._known is None:
            # Late: only a COPY that missed needs it.
            from builder.core.facts import Facts

            self._known = Facts(self._store.secret, spare_fd=self._store.fd)
        return self._known

    def open_upper(self) -> int:
        """A descriptor of the directory that takes the changes; what is in it must not be changed while it is mounted."""
        return os.open(self.run.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._store.fd)

    def open_lower(self) -> int:
        """A descriptor of the view below, for reading only; -1 where there is none."""
        return -1 if self._alone else open_state(self._store, self._parent)

    def __enter__(self) -> StepRoot:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the mount; safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def settle(self, *, newest: int | None = None) -> Changes:
        """Unmount, drop from the changes what equals the parent after all, and fingerprint the rest. With `newest` (seconds)
        what is newer gets that time.
        """
        self.close()
        upper = self.open_upper()
        try:
            lower = open_state(self._store, self._parent)
            try:
                changes = settle(upper, lower, self._store.secret, self.known)
                if newest is not None:
                    clamp_times(upper, newest * 10**9)
            finally:
                if lower >= 0:
                    os.close(lower)
            if changes.entries >= _WORTH_KNOWING:
                self.known.save(upper, self._store.fd, self.run.facts)
            self.known.close()
            self._known = None
            return changes
        finally:
            os.close(upper)
