"""A stream on its way to a blob: read by one thread, hashed by another, packed piece by piece by several, written by one more.

What each does for long (reading, hashing, compressing) it does in C without the interpreter's lock, so that two cores are busy.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Protocol, TypeVar

F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)
F_contra = TypeVar("F_contra", contravariant=True)
T = TypeVar("T")

LARGEST = 1 << 20
"""No piece has more bytes."""

_MOST_PACKERS = 4


class Source(Protocol[F_co]):
    """Where the pieces come from."""

    def next(self, buffer: bytearray) -> tuple[int, F_co | None]:
        """Put the next piece into the buffer and say how many bytes that is, 0 at the end; or leave the buffer alone and
        give what the piece can be had from later.
        """
        ...


class Work(Protocol[F_contra, T]):
    """What happens to them."""

    def digest(self, plain: memoryview) -> object:
        """In the order of the pieces."""
        ...

    def pack(self, plain: memoryview) -> T:
        """By several threads at once, as `restore`."""
        ...

    def restore(self, found: F_contra, size: int) -> tuple[T, memoryview]:
        """A piece, packed and plain, from what the source gave in its place."""
        ...

    def write(self, packed: T) -> object:
        """In the order of the pieces."""
        ...


class _Piece(Generic[F, T]):
    """One piece on its way. The locks are held until the piece is hashed, and packed."""

    __slots__ = ("buffer", "found", "hashed", "packed", "ready", "view")

    def __init__(self, buffer: bytearray, size: int, found: F | None) -> None:
        self.buffer, self.view, self.found = buffer, memoryview(buffer)[:size], found
        self.hashed, self.ready = threading.Lock(), threading.Lock()
        self.hashed.acquire()
        self.ready.acquire()
        self.packed: T | None = None


def run_alone(source: Source[F], work: Work[F, T]) -> int:
    """As `run`, in this thread: what is small is done before others have started."""
    buffer, total = bytearray(LARGEST), 0
    while True:
        size, found = source.next(buffer)
        if not size:
            return total
        view = memoryview(buffer)[:size]
        if found is None:
            packed = work.pack(view)
        else:
            packed, view = work.restore(found, size)
        work.digest(view)
        work.write(packed)
        total += size


def run(source: Source[F], work: Work[F, T]) -> int:
    """Bring a stream to its end: how many bytes it had. The first error of any thread ends it all."""
    line: _Line[F, T] = _Line(work)
    total = 0
    with line:
        while (buffer := line.room()) is not None:
            size, found = source.next(buffer)
            if not size:
                break
            line.put(_Piece(buffer, size, found))
            total += size
    return total


class _Line(Generic[F, T]):
    """The threads behind the one that reads, and their queues."""

    def __init__(self, work: Work[F, T]) -> None:
        self._job = work
        self._errors: list[BaseException] = []
        packers = min(_MOST_PACKERS, len(os.sched_getaffinity(0)))
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        for _ in range(2 * packers + 4):
            self._free.put(bytearray(LARGEST))
        # Each with the work on its pieces, and how many threads do it.
        self._queues: list[tuple[SimpleQueue[_Piece[F, T] | None], Callable[[_Piece[F, T]], None], int]] = [
            (SimpleQueue(), self._hash_piece, 1),
            (SimpleQueue(), self._pack_piece, packers),
            (SimpleQueue(), self._write_piece, 1),
        ]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> _Line[F, T]:
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

    def put(self, piece: _Piece[F, T]) -> None:
        """A piece for everybody."""
        for queue, _, _ in self._queues:
            queue.put(piece)

    def _work(self, queue: SimpleQueue[_Piece[F, T] | None], work: Callable[[_Piece[F, T]], None]) -> None:
        while (piece := queue.get()) is not None:
            work(piece)

    def _hash_piece(self, piece: _Piece[F, T]) -> None:
        if piece.found is not None:  # it is there when it has been restored
            piece.ready.acquire()
            piece.ready.release()
        try:
            if not self._errors:
                self._job.digest(piece.view)
        except BaseException as error:
            self._errors.append(error)
        piece.hashed.release()

    def _pack_piece(self, piece: _Piece[F, T]) -> None:
        try:
            if not self._errors and piece.found is not None:
                piece.packed, piece.view = self._job.restore(piece.found, len(piece.view))
            elif not self._errors:
                piece.packed = self._job.pack(piece.view)
        except BaseException as error:
            self._errors.append(error)
        piece.ready.release()

    def _write_piece(self, piece: _Piece[F, T]) -> None:
        piece.ready.acquire()
        piece.ready.release()  # the one who hashes may wait for it too
        try:
            if piece.packed is not None and not self._errors:
                self._job.write(piece.packed)
        except BaseException as error:
            self._errors.append(error)
        piece.hashed.acquire()
        self._free.put(piece.buffer)
