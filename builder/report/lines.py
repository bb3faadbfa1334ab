"""The output of a step as lines, from bytes that come in pieces and on two streams."""

from __future__ import annotations

from collections.abc import Iterator

from builder.report.harmless import harmless

# A longer line is cut, and how much was left out is said.
_LONGEST = 16 << 10


class _Rest:
    """The beginning of a line that has not ended: its last version, what was cut off, and when its last byte came."""

    __slots__ = ("cut", "data", "time")

    def __init__(self) -> None:
        self.data = b""
        self.cut = 0
        self.time = 0.0


class LineReader:
    """Parts the output of one step into lines that are fit to be shown.

    A carriage return begins the line anew, as on a terminal: of a progress bar its last version is shown.
    """

    def __init__(self) -> None:
        self._rests: dict[str, _Rest] = {}

    @property
    def pending(self) -> bool:
        """Whether a line has begun and not ended."""
        return any(rest.data for rest in self._rests.values())

    def feed(self, stream: str, data: bytes, time: float) -> Iterator[str]:
        """Take in some bytes; the lines that end with them."""
        rest = self._rests.setdefault(stream, _Rest())
        *ended, last = data.split(b"\n")
        for piece in ended:
            self._add(rest, piece)
            yield self._take(rest)
        self._add(rest, last)
        rest.time = time

    def overdue(self, before: float) -> Iterator[str]:
        """The beginnings of lines to which nothing was added since `before`."""
        for rest in self._rests.values():
            if rest.data and rest.time <= before:
                yield self._take(rest)

    def finish(self) -> Iterator[str]:
        """What is left when the step has ended."""
        for rest in self._rests.values():
            if rest.data:
                yield self._take(rest)

    def _add(self, rest: _Rest, piece: bytes) -> None:
        room = _LONGEST - len(rest.data)
        if len(piece) <= room:
            rest.data += piece
            return
        # What a carriage return takes back needs no room.
        newest = (rest.data + piece).rstrip(b"\r").rpartition(b"\r")[2]
        rest.cut = rest.cut if newest == rest.data + piece else 0
        rest.data, rest.cut = newest[:_LONGEST], rest.cut + max(0, len(newest) - _LONGEST)

    def _take(self, rest: _Rest) -> str:
        text = rest.data.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
        more = f" … {rest.cut} more bytes" if rest.cut else ""
        rest.data, rest.cut = b"", 0
        return harmless(text) + more


def last_lines(output: str, most: int, indent: str = "") -> Iterator[str]:
    """The last lines of a failed command's output, with a line above that says so; none if there is no output."""
    lines = output.rstrip("\r\n").split("\n") if output else []
    if lines:
        yield f"{indent}last output:" if len(lines) <= most else f"{indent}last {most} lines of output:"
    for line in lines[-most:]:
        yield f"{indent}  | {harmless(line.rstrip(chr(13)).rpartition(chr(13))[2])}"
