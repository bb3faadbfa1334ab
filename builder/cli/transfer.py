"""How far a transfer is, on standard error: a line for each blob when it is complete."""

from __future__ import annotations

from builder.cli.surroundings import Surroundings
from builder.report.harmless import harmless
from builder.report.text import human


class Transfer:
    """Shows the progress of `pull` and `push`; threads may share it."""

    def __init__(self, around: Surroundings, *, quiet: bool) -> None:
        self._err = around.err
        self._quiet = quiet
        self._complete: set[str] = set()

    def progress(self, label: str, done: int, total: int) -> None:
        """Take in how many bytes of a blob are there."""
        if self._quiet or not total or done < total or label in self._complete:
            return
        self._complete.add(label)
        self._err.write(f"{harmless(label)}: {human(total)}\n")
        self._err.flush()
