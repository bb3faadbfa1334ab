"""Work on a stream by a thread that goes ahead: what it makes waits for the one who takes it, up to a bound."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType

# Bytes that may wait; one piece always may.
_MOST = 4 << 20


class Ahead:
    """Iterates over the pieces of a stream, which another thread makes meanwhile. A context manager: at its end that thread is
    gone. What went wrong there is raised where the piece would have come.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._done = self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def __enter__(self) -> Ahead:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                while not self._waiting and not self._done:
                    self._changed.wait()
                if not self._waiting:
                    if self._error is not None:
                        raise self._error
                    return
                piece = self._waiting.popleft()
                self._bytes -= len(piece)
                self._changed.notify_all()
            yield piece

    def _work(self) -> None:
        try:
            for piece in self._pieces:
                with self._changed:
                    while self._bytes > _MOST and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        break
                    self._waiting.append(piece)
                    self._bytes += len(piece)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        with self._changed:
            self._done = True
            self._changed.notify_all()
