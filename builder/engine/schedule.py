"""Which stage runs when: each once, as soon as somebody needs it, independent ones side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from builder.errors import CacheLostError, Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, TypeVar

    Result = TypeVar("Result")
else:  # `Generic[Result]` is nothing of its own while it runs
    Result = None
    Generic = {Result: object}

# What ends a stage without being the cause of the build's end.
_PASSING = (Cancelled, CacheLostError)


class _Slot(Generic[Result]):
    """One stage: claimed by the thread that runs it, done when its result or error is there."""

    def __init__(self) -> None:
        self.claimed = False
        self.done = threading.Event()
        self.result: Result | None = None
        self.error: BaseException | None = None


class Stages(Generic[Result]):
    """Runs stages by index. The first failure stops the others through `cancelled`."""

    def __init__(self, run: Callable[[int], Result], cancelled: threading.Event) -> None:
        self._run = run
        self._cancelled = cancelled
        self._slots: dict[int, _Slot[Result]] = {}
        self._lock = threading.Lock()
        self._first: BaseException | None = None

    def result(self, index: int) -> Result:
        """The result of a stage: run here and now if nobody has begun it, else waited for."""
        slot, mine = self._claim(index)
        if mine:
            self._work(index, slot)
        else:
            slot.done.wait()
        if slot.error is not None:
            raise slot.error
        assert slot.result is not None
        return slot.result

    def run(self, needed: Sequence[int], target: int) -> Result:
        """Run all needed stages and give back the target's result, or raise the first error."""
        threads = [
            threading.Thread(target=self._quietly, args=(index,), name=f"stage-{index}", daemon=True)
            for index in needed
            if index != target
        ]
        for thread in threads:
            thread.start()
        try:
            result = self.result(target)
        except BaseException as error:
            if not isinstance(error, CacheLostError):
                self._cancelled.set()
            raise
        finally:
            for thread in threads:
                thread.join()
            if self._first is not None and not isinstance(self._first, _PASSING):
                raise self._first
        return result

    def _claim(self, index: int) -> tuple[_Slot[Result], bool]:
        with self._lock:
            slot = self._slots.setdefault(index, _Slot())
            mine, slot.claimed = not slot.claimed, True
            return slot, mine

    def _quietly(self, index: int) -> None:
        slot, mine = self._claim(index)
        if mine:
            self._work(index, slot)

    def _work(self, index: int, slot: _Slot[Result]) -> None:
        try:
            slot.result = self._run(index)
        except BaseException as error:
            slot.error = error
            with self._lock:
                if self._first is None or isinstance(self._first, _PASSING):
                    self._first = error
            if not isinstance(error, CacheLostError):  # the build is begun again without that cache
                self._cancelled.set()
        finally:
            slot.done.set()
