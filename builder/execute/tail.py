"""The last output of a command, in which no secret of the build is readable."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator

_MASK = b"****"
# Lines of a secret that are shorter stand in any text; as a whole it is masked however short it is.
_SHORTEST = 4
_LONG = 1024


class Tail:
    """Keeps the last `limit` bytes of what is added; `secrets` are what is masked in them, whole and line by line."""

    def __init__(self, limit: int, secrets: Iterable[bytes] = ()) -> None:
        self._limit = limit
        self._words = sorted(_words(secrets), key=len, reverse=True)
        # One that begins before what is kept is not known any more by its end: so much more is kept, and not shown.
        self._more = len(self._words[0]) - 1 if self._words else 0
        self._chunks: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._cut = False

    def add(self, data: bytes) -> None:
        """More output."""
        most = self._limit + self._more
        self._cut = self._cut or len(data) > most
        self._chunks.append(data[-most:])
        self._size += len(self._chunks[-1])
        while self._size - len(self._chunks[0]) >= most:
            self._size -= len(self._chunks.popleft())
            self._cut = True

    def text(self) -> bytes:
        """What is kept, the last `limit` bytes of it at most."""
        data = b"".join(self._chunks)
        kept = data[-(self._limit + self._more) :]
        begin = self._more if self._cut or len(kept) < len(data) else 0
        return b"".join(self._pieces(kept, begin))[-self._limit :]

    def _pieces(self, data: bytes, begin: int) -> Iterable[bytes]:
        """The text from `begin` on, with a mask for what secrets cover, also for one that begins before that."""
        at = begin
        for first, last in self._covered(data):
            if last <= begin:
                continue
            yield data[at : max(first, begin)]
            yield _MASK
            at = last
        yield data[at:]

    def _covered(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where secrets begin and end, in order; those that overlap, as they may where one ends as another begins, are one."""
        first, last = 0, 0
        for at, end in sorted(found for word in self._words for found in _places(data, word)):
            if at >= last:
                if last:
                    yield first, last
                first = at
            last = max(last, end)
        if last:
            yield first, last


def _places(data: bytes, word: bytes) -> Iterator[tuple[int, int]]:
    """Where a word stands in a text, also within itself unless it is so long that looking for that would take long."""
    step = 1 if len(word) <= _LONG else len(word)
    at = data.find(word)
    while at >= 0:
        yield at, at + len(word)
        at = data.find(word, at + step)


def _words(secrets: Iterable[bytes]) -> set[bytes]:
    found = set()
    for secret in secrets:
        found.add(secret.strip())
        found |= {line for line in map(bytes.strip, secret.splitlines()) if len(line) >= _SHORTEST}
    return found - {b""}
