"""Streams as layers and archives come: what their first bytes say they are, and how to undo it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from builder.errors import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol
else:
    Protocol = object

CHUNK = 1 << 20

MOST_TIMES = 2000
"""How many times its own size an archive may unpack to, once that is more than `MOST_BYTES`. Files of gzip never do."""

MOST_BYTES = 1 << 30

# What is fed at once, so that no piece of a bomb becomes larger than some 70 MB: gzip makes at most 1,032 bytes of one,
# zstd 32,768. The others may make far more, but can be asked for pieces of a size.
_FED = {"gzip": 1 << 16, "zstd": 1 << 11, "bzip2": 1 << 16, "xz": 1 << 16}
_ASKED = frozenset({"bzip2", "xz"})
_MEMORY = 256 << 20  # for the dictionary of xz, which may ask for gigabytes

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
}


class _Decompressor(Protocol):
    def decompress(self, data: bytes) -> bytes: ...


class _Asked(Protocol):
    """Decompressors of the standard library."""

    eof: bool
    needs_input: bool

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def compression_of(start: bytes) -> str | None:
    """`gzip`, `zstd`, `bzip2` or `xz` by the first bytes (at least 6) of a stream, None for anything else."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


def decompress_bounded(chunks: Iterable[bytes], *, what: str) -> Iterator[bytes]:
    """As `decompress`, but what unpacks to far more than any real archive is an `ImageError`."""
    taken = made = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for chunk in chunks:
            taken += len(chunk)
            yield chunk

    for plain in decompress(counted(), what=what):
        made += len(plain)
        if made > MOST_BYTES and made > MOST_TIMES * taken:
            raise ImageError(
                f"{what} unpacks to more than {MOST_TIMES} times its size, which no archive of files does",
                hint="if it is meant so, unpack it yourself and give the folder",
            )
        yield plain


def decompress(chunks: Iterable[bytes], *, what: str = "the stream") -> Iterator[bytes]:
    """The plain bytes of a stream, compressed or not, one member after the other.

    Nothing is collected, and no piece is larger than some 70 MB: a bomb costs time, not memory, and whoever consumes
    the result bounds it. A damaged or cut stream is an `ImageError` that names `what`.
    """
    source = iter(chunks)
    start = b""
    for chunk in source:
        start += chunk
        if len(start) >= 6:
            break
    kind = compression_of(start)
    if kind is None:
        if start:
            yield start
        yield from source
        return
    yield from _members(kind, start, source, what)


def _members(kind: str, start: bytes, source: Iterator[bytes], what: str) -> Iterator[bytes]:
    """Decompress member after member: gzip, zstd, bzip2 and xz streams may be joined end to end."""
    damaged: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, *_errors(kind))
    pieces: Callable[[Any, bytes], Iterator[bytes]] = _asked if kind in _ASKED else _fed
    member = _new(kind)
    ended = False
    data: bytes | None = start
    try:
        while data is not None:
            place = 0
            while place < len(data):
                if ended and data[place] == 0:  # padding between members or behind the last
                    place = len(data) - len(data[place:].lstrip(b"\0"))
                    continue
                if ended:
                    member, ended = _new(kind), False
                piece = data[place : place + _FED[kind]]
                yield from pieces(member, piece)
                ended = bool(getattr(member, "eof", False))
                place += len(piece) - (len(getattr(member, "unused_data", b"")) if ended else 0)
            data = next(source, None)
    except damaged as error:
        raise ImageError(f"{what} is damaged: {kind} says {error}") from None
    if not ended:
        raise ImageError(f"{what} is cut short: its {kind} data have no end")


def _fed(member: _Decompressor, data: bytes) -> Iterator[bytes]:
    plain = member.decompress(data)
    if plain:
        yield plain


def _asked(member: _Asked, data: bytes) -> Iterator[bytes]:
    while True:
        plain = member.decompress(data, CHUNK)
        if plain:
            yield plain
        if member.eof or member.needs_input:
            return
        data = b""


def _new(kind: str) -> _Decompressor:
    if kind == "gzip":
        from isal import isal_zlib

        decompressor: _Decompressor = isal_zlib.decompressobj(wbits=31)
        return decompressor
    if kind == "zstd":
        import zstandard

        return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    if kind == "bzip2":
        import bz2

        return bz2.BZ2Decompressor()
    import lzma

    return lzma.LZMADecompressor(memlimit=_MEMORY)


def _errors(kind: str) -> tuple[type[Exception], ...]:
    """The exceptions that a decompressor of this kind raises for bad data."""
    if kind == "gzip":
        from isal import isal_zlib

        error: Any = isal_zlib.error
        return (error,)
    if kind == "zstd":
        import zstandard

        return (zstandard.ZstdError,)
    if kind == "xz":
        import lzma

        return (lzma.LZMAError,)
    return ()
