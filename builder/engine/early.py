"""Layers made ahead: while later steps run, the layer of a step that was carried out is made already, if the result is to
have one. Who wants that layer afterwards finds it, or waits for the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from builder.engine.deliver import IMAGE_TYPES, compression_of, newest_of
from builder.engine.request import outputs_of
from builder.engine.session import Session
from builder.errors import Cancelled
from builder.execute.layer import ensure_layer, made_before
from builder.graph.stages import StageBase

# Of states with fewer bytes in their files the layer is made in no time.
_WORTH_IT = 4 << 20
_LOOK = 0.1


def begin_layer(session: Session, stage: int, state: bytes) -> None:
    """A step of a stage was just carried out and led to a state: make its layer, if it will be wanted."""
    found = session.store.states.get(state)
    if found is None or found.size < _WORTH_IT or not found.snapshot or (session.request.jobs or 2) < 2:
        return
    if stage not in _stages_of_result(session):
        return
    form = _form(session)
    # What was there before may turn out to be damaged, which is told when nothing stands on it any more.
    if form is None or made_before(session.store, state, max_mtime=form[1]):
        return
    with session.room:
        if not session.early:
            session.early.append(EarlyLayers(session, *form))
        session.early[0].begin(state)


def _stages_of_result(session: Session) -> set[int]:
    """The stages whose layers the result has: the target, and those that it stands on."""
    index, found = session.graph.target, set()
    while index not in found:
        found.add(index)
        base = session.graph.stages[index].base
        if isinstance(base, StageBase):
            index = base.index
    return found


def _form(session: Session) -> tuple[str, int] | None:
    """The compression of the layers, and what the times of files in them are at most; None if no output has layers."""
    for output in outputs_of(session.request):
        if output.type in IMAGE_TYPES:
            return compression_of(output), newest_of(session, output)
    return None


class EarlyLayers:
    """A thread that makes layers, one after the other."""

    def __init__(self, session: Session, compression: str, newest: int) -> None:
        self._store, self._compression, self._newest = session.store, compression, newest
        self._states: SimpleQueue[bytes | None] = SimpleQueue()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="early-layers", daemon=True)
        self._thread.start()

    def begin(self, state: bytes) -> None:
        """Make the layer of a state, which this build has made."""
        self._states.put(state)

    def _work(self) -> None:
        while (state := self._states.get()) is not None and not self._stop.is_set():
            try:
                ensure_layer(
                    self._store, state, compression=self._compression, max_mtime=self._newest, stop=self._stop
                )
            except Cancelled:
                return
            except BaseException as error:
                self._error = error
                return

    def finish(self, check: Callable[[], object]) -> None:
        """Wait until all are made; raises what went wrong. `check` is asked now and then, and raises if the build is to stop."""
        self._states.put(None)
        while self._thread.is_alive():
            self._thread.join(_LOOK)
            check()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def stop(self) -> None:
        """Nobody wants them any more: end, and leave nothing that is not whole. Safe to call at any time."""
        self._stop.set()
        self._states.put(None)
        self._thread.join()
