"""Layers that carry bytes for nothing: what they have again of those below, and what they take away from them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from builder.report.advice import Advice
from builder.report.trend import text_of
from builder.store.history import Build, BuildStep
from builder.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.core.changes import Waste
    from builder.store.states import State


def wasted_bytes(
    store: Store, build: Build, steps: Mapping[int, BuildStep], least: int, notes: list[str]
) -> Iterator[Advice]:
    """Advice on the layers of a build, of `least` bytes or more; `notes` gets what could not be looked at."""
    # Steps that changed nothing have the state of the one before them: the first of each made it.
    by_state = {step.state: step for _, step in sorted(steps.items(), reverse=True) if step.state}
    base = b""
    for layer in store.history.details.get(build.number).layers:
        state = bytes.fromhex(layer.state)
        step, known = by_state.get(state), store.states.get(state)
        if layer.pulled:
            base = state
        if layer.pulled or step is None:
            continue
        if known is None:
            notes.append(f"the files of {text_of(step.title)} are not in the store any more")
            continue
        found = _waste(store, known, known.parent)
        if found is None:
            continue
        if found.copied_bytes >= least:
            yield Advice(
                "copied-bytes",
                step.title,
                step.line,
                f"holds {found.copied_files} files again of which only owner or mode changed, such as {found.copied_path}",
                "set owner and mode where the files come from: COPY --chown, COPY --chmod, or the RUN that makes them",
                bytes=found.copied_bytes,
            )
        gone = found.removed_bytes + found.replaced_bytes
        if gone >= least and found.replaced_bytes and base:
            # Files of the base are replaced by whoever installs something, such as the list of packages.
            of_base = _waste(store, known, base)
            gone -= min(found.replaced_bytes, of_base.replaced_bytes) if of_base is not None else 0
        if gone >= least:
            example = f", such as {found.removed_path}" if found.removed_path else ""
            yield Advice(
                "removed-bytes",
                step.title,
                step.line,
                f"takes away or replaces files that layers below carry all the same{example}",
                "remove them in the step that makes them, or copy what is wanted from a stage of its own",
                bytes=gone,
            )


def _waste(store: Store, state: State, below: bytes) -> Waste | None:
    """What the layer of a state has of the files of another; None if that has none."""
    from builder.core.changes import waste
    from builder.execute.rootfs import open_state

    lower = open_state(store, below)
    if lower < 0:
        return None
    try:
        upper = os.open(
            store.states.path(state), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd
        )
        try:
            return waste(upper, lower)
        finally:
            os.close(upper)
    finally:
        os.close(lower)
