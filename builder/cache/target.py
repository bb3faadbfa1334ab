"""A remote cache to write to: what is there already, and what was sent."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from builder.cache.place import LatePlace, Place
from builder.cache.spec import CacheSpec
from builder.digest import Digest
from builder.errors import BuilderError, ImageError
from builder.image.manifest import Descriptor, Manifest, parse_manifest
from builder.store.layers import Layer


class Target:
    """One `--cache-to` that is a place, opened by `opened`. Threads may share it.

    `there` are the blobs that it has, `layers` the layers of states among them; `wanted` are the bytes of what was
    not, and `moved` those of them that were sent.
    """

    def __init__(self, spec: CacheSpec, opened: Callable[[], Place]) -> None:
        self.spec, self._opened = spec, opened
        self.place = LatePlace(opened)
        self.failed: BuilderError | None = None
        self.there: set[Digest] = set()
        self.layers: dict[bytes, Layer] = {}
        self.moved = 0
        self.halted = False
        self.wanted = 0
        self._asked = 0.0
        self._before: tuple[bytes, frozenset[Digest]] | None = None
        self._lock = threading.Lock()
        self._sending: dict[Digest, threading.Lock] = {}

    @property
    def rest(self) -> int:
        """The bytes that are still to be sent of what is being sent."""
        return max(self.wanted - self.moved, 0)

    def send(self, layer: Layer | Descriptor, opener: Callable[[], BinaryIO]) -> None:
        """Bring a blob there if it is not."""
        if layer.digest in self.there:
            return
        with self._lock:
            alone = self._sending.setdefault(layer.digest, threading.Lock())
        with alone:
            self._send(layer, opener)

    def _send(self, layer: Layer | Descriptor, opener: Callable[[], BinaryIO]) -> None:
        if layer.digest in self.there:  # another thread has sent it
            return
        if not self.holds(layer.digest):
            with self._lock:
                self.wanted += layer.size
            descriptor = Descriptor(layer.media_type, layer.digest, layer.size)
            self.place.put(descriptor, lambda: cast(BinaryIO, _Sent(self, opener())))
        self.there.add(layer.digest)

    def holds(self, digest: Digest) -> bool:
        """Whether it has a blob already."""
        return digest in self.look()[1] or self._has(digest)

    @property
    def silence(self) -> float:
        """For how many seconds a question has been waiting for its answer."""
        return time.monotonic() - self._asked if self._asked else 0.0

    def _has(self, digest: Digest) -> bool:
        self._asked = time.monotonic()
        try:
            return self.place.has(digest)
        finally:
            self._asked = 0.0

    def look(self) -> tuple[bytes, frozenset[Digest]]:
        """The manifest that is there now, and the blobs that it names, which therefore are there too."""
        with self._lock:
            if self._before is None:
                self._asked = time.monotonic()
                try:
                    document = self.place.manifest()[1]
                    parsed = parse_manifest(document)
                except BuilderError:  # none yet, or one that nobody can read: it is replaced
                    self._before = (b"", frozenset())
                else:
                    blobs = (parsed.config, *parsed.layers) if isinstance(parsed, Manifest) else ()
                    self._before = (document, frozenset(blob.digest for blob in blobs))
                finally:
                    self._asked = 0.0
            return self._before

    def halt(self) -> None:
        """Break off what is being sent."""
        self.halted = True
        self.place.abort()

    def renew(self) -> None:
        """Begin anew with the place, after `halt`."""
        self.place.close()
        self.halted = False
        self.place = LatePlace(self._opened)


class _Sent(io.RawIOBase):
    """A blob on its way: what is read of it is sent, until the target is halted."""

    def __init__(self, target: Target, stream: BinaryIO) -> None:
        self._target, self._stream = target, stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._target.halted:
            raise ImageError("it was broken off")
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._target.moved += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self._stream.close()
        super().close()
