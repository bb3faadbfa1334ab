"""Streams as layers and archives come: what their first bytes say they are, and how to undo it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from builder.errors import ImageError

CHUNK = 1 << 20

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
}


class _Decompressor(Protocol):
    def decompress(self, data: bytes) -> bytes: ...


def compression_of(start: bytes) -> str | None:
    """`gzip`, `zstd`, `bzip2` or `xz` by the first bytes (at least 6) of a stream, None for anything else."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


def decompress(chunks: Iterable[bytes], *, what: str = "the stream") -> Iterator[bytes]:
    """The plain bytes of a stream, compressed or not, one member after the other.

    Nothing is collected: a bomb costs time, not memory, and whoever consumes the result bounds it. A damaged or
    cut stream is an `ImageError` that names `what`.
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
    member = _new(kind)
    ended = False
    pending: bytes | None = start
    try:
        while pending is not None:
            while pending:
                if ended:
                    if not pending.strip(b"\0"):  # padding behind the last member
                        break
                    member, ended = _new(kind), False
                plain = member.decompress(pending)
                if plain:
                    yield plain
                ended = bool(getattr(member, "eof", False))
                pending = getattr(member, "unused_data", b"") if ended else b""
            pending = next(source, None)
    except damaged as error:
        raise ImageError(f"{what} is damaged: {kind} says {error}") from None
    if not ended:
        raise ImageError(f"{what} is cut short: its {kind} data have no end")


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

    return lzma.LZMADecompressor()


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
