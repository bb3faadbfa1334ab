"""Work on a stream by a thread that goes ahead: what it makes waits for the one who takes it, up to a bound."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

# Bytes that may wait; one piece always may.
_MOST = 4 << 20


class Coming:
    """Pieces on their way from the thread that calls `fill` to the one that calls `take`."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._done = self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def fill(self, pieces: Iterable[bytes], came: Callable[[int], object] | None = None) -> None:
        """Hand on all pieces; `came` is told how large each is. What goes wrong is raised where the piece would be taken."""
        try:
            for piece in pieces:
                if came is not None:
                    came(len(piece))
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

    def take(self, look: Callable[[], float | None] = lambda: None) -> bytes | None:
        """The next piece, None at the end. While there is none, `look` says for how many seconds to wait before it is asked again
        (None: as long as it takes), and may raise.
        """
        with self._changed:
            while not self._waiting and not self._done:
                self._changed.wait(look())
            if self._waiting:
                piece = self._waiting.popleft()
                self._bytes -= len(piece)
                self._changed.notify_all()
                return piece
            if self._error is not None:
                raise self._error
            return None

    @property
    def is_there(self) -> bool:
        """Whether `take` would not wait."""
        return bool(self._waiting) or self._done

    def stop(self) -> None:
        """Nobody takes any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class Ahead:
    """Iterates over the pieces of a stream, which another thread makes meanwhile. A context manager: at its end that thread is
    gone. What went wrong there is raised where the piece would have come.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._coming = Coming()
        self._thread = threading.Thread(target=self._coming.fill, args=(pieces,), name="ahead", daemon=True)

    def __enter__(self) -> Ahead:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._coming.stop()
        self._thread.join()

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._coming.take()) is not None:
            yield piece
