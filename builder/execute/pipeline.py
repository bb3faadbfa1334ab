"""A stream on its way to a blob: read by one thread, hashed by another, packed piece by piece by several, written by one more.

What each does for long (reading, hashing, compressing) it does in C without the interpreter's lock, so that two cores are busy.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

LARGEST = 1 << 20
"""No piece has more bytes."""

_MOST_PACKERS = 4


class _Piece(Generic[T]):
    """One piece on its way. The locks are held until the piece is hashed, and packed."""

    __slots__ = ("buffer", "hashed", "packed", "ready", "view")

    def __init__(self, buffer: bytearray, size: int) -> None:
        self.buffer, self.view = buffer, memoryview(buffer)[:size]
        self.hashed, self.ready = threading.Lock(), threading.Lock()
        self.hashed.acquire()
        self.ready.acquire()
        self.packed: T | None = None


def run_alone(
    read: Callable[[bytearray], int],
    digest: Callable[[memoryview], object],
    pack: Callable[[memoryview], T],
    write: Callable[[T], object],
) -> int:
    """As `run`, in this thread: what is small is done before others have started."""
    buffer, total = bytearray(LARGEST), 0
    while size := read(buffer):
        view = memoryview(buffer)[:size]
        digest(view)
        write(pack(view))
        total += size
    return total


def run(
    read: Callable[[bytearray], int],
    digest: Callable[[memoryview], object],
    pack: Callable[[memoryview], T],
    write: Callable[[T], object],
) -> int:
    """Bring a stream to its end: how many bytes it had.

    `read` fills a buffer with the next piece and says how many bytes that is, 0 at the end; `digest` and `write` are called in
    the order of the pieces, `pack` by several threads at once. The first error of any of them ends it all.
    """
    line = _Line(digest, pack, write)
    total = 0
    with line:
        while (buffer := line.room()) is not None and (size := read(buffer)):
            line.put(_Piece(buffer, size))
            total += size
    return total


class _Line(Generic[T]):
    """The threads behind the one that reads, and their queues."""

    def __init__(
        self,
        digest: Callable[[memoryview], object],
        pack: Callable[[memoryview], T],
        write: Callable[[T], object],
    ) -> None:
        self._digest, self._pack, self._write = digest, pack, write
        self._errors: list[BaseException] = []
        packers = min(_MOST_PACKERS, len(os.sched_getaffinity(0)))
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        for _ in range(2 * packers + 4):
            self._free.put(bytearray(LARGEST))
        # Each with the work on its pieces, and how many threads do it.
        self._queues: list[tuple[SimpleQueue[_Piece[T] | None], Callable[[_Piece[T]], None], int]] = [
            (SimpleQueue(), self._hash_piece, 1),
            (SimpleQueue(), self._pack_piece, packers),
            (SimpleQueue(), self._write_piece, 1),
        ]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> _Line[T]:
        for queue, work, count in self._queues:
            for _ in range(count):
                thread = threading.Thread(
                    target=self._work, args=(queue, work), name=work.__name__, daemon=True
                )
                self._threads.append(thread)
                thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for queue, _, count in self._queues:
            for _ in range(count):
                queue.put(None)
        for thread in self._threads:
            thread.join()
        if kind is None and self._errors:
            raise self._errors[0]

    def room(self) -> bytearray | None:
        """A buffer that nobody uses any more; None if something went wrong."""
        buffer = self._free.get()
        return None if self._errors else buffer

    def put(self, piece: _Piece[T]) -> None:
        """A piece for everybody."""
        for queue, _, _ in self._queues:
            queue.put(piece)

    def _work(self, queue: SimpleQueue[_Piece[T] | None], work: Callable[[_Piece[T]], None]) -> None:
        while (piece := queue.get()) is not None:
            work(piece)

    def _hash_piece(self, piece: _Piece[T]) -> None:
        try:
            if not self._errors:
                self._digest(piece.view)
        except BaseException as error:
            self._errors.append(error)
        piece.hashed.release()

    def _pack_piece(self, piece: _Piece[T]) -> None:
        try:
            if not self._errors:
                piece.packed = self._pack(piece.view)
        except BaseException as error:
            self._errors.append(error)
        piece.ready.release()

    def _write_piece(self, piece: _Piece[T]) -> None:
        piece.ready.acquire()
        try:
            if piece.packed is not None and not self._errors:
                self._write(piece.packed)
        except BaseException as error:
            self._errors.append(error)
        piece.hashed.acquire()
        self._free.put(piece.buffer)
