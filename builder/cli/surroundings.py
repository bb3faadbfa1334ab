"""What the environment of the process says. `read` is the only place that looks at it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from builder.value import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from builder.store.store import Store


@dataclass(slots=True)
class Untold:
    """What of an error that ends a command is still to be told: a display may have shown it all, or a step's output."""

    error: bool = True
    output: bool = True


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment, the user's own folder, and the streams that a command talks to."""

    env: Mapping[str, str]
    home: str
    out: TextIO
    err: TextIO
    untold: Untold = field(default_factory=Untold)

    def setting(self, name: str) -> str | None:
        """A variable of the environment; an empty one counts as not set."""
        return self.env.get(name) or None

    def store_path(self, chosen: str | None) -> str:
        """The store: what was chosen, PYBUILD_STORE, or `pybuild` in the user's data folder (XDG base directories)."""
        if path := chosen or self.setting("PYBUILD_STORE"):
            return os.path.abspath(path)
        data = self.setting("XDG_DATA_HOME")
        if data is None or not os.path.isabs(data):  # the specification: a relative path is ignored
            data = os.path.join(self.home, ".local", "share")
        return os.path.join(data, "pybuild")

    def docker_config(self) -> str:
        """Docker's config.json, which holds credentials of registries."""
        folder = self.setting("DOCKER_CONFIG") or os.path.join(self.home, ".docker")
        return os.path.join(folder, "config.json")

    def in_user_namespace(self) -> bool:
        """Whether this process is root of a user namespace only, so that a store needs other marks in it."""
        from builder.sandbox.ways import is_rootless

        return is_rootless()

    def open_store(self, chosen: str | None, *, reading: bool = False) -> Store:
        """The store of `store_path`, opened; with `reading` as it is, for nothing but looking."""
        from builder.store.store import open_store

        store = open_store(self.store_path(chosen), userxattr=self.in_user_namespace(), reading=reading)
        store.proofs.warn = self._warn
        return store

    def _warn(self, message: str) -> None:
        self.err.write(f"warning: {message}\n")

    @property
    def colours(self) -> bool:
        """Whether colours are wanted on a terminal (no-color.org)."""
        return self.setting("NO_COLOR") is None

    @property
    def dumb(self) -> bool:
        """Whether the terminal can only append lines."""
        return self.env.get("TERM", "dumb") in ("", "dumb")


def read() -> Surroundings:
    """The surroundings of this process. Call it before a user namespace makes another user of the caller."""
    return Surroundings(os.environ, os.path.expanduser("~"), sys.stdout, sys.stderr)
