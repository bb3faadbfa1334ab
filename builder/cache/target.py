"""A remote cache to write to: what is there already, and what was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from builder.cache.place import Place
from builder.cache.spec import CacheSpec
from builder.digest import Digest
from builder.errors import BuilderError
from builder.image.manifest import Descriptor, Manifest, parse_manifest
from builder.store.layers import Layer


class Target:
    """One `--cache-to` that is a place."""

    def __init__(self, spec: CacheSpec, place: Place) -> None:
        self.spec, self.place = spec, place
        self.failed: BuilderError | None = None
        self.sent: dict[Digest, int] = {}
        self.there: set[Digest] = set()
        self.before: tuple[bytes, frozenset[Digest]] | None = None

    def send(self, layer: Layer | Descriptor, opener: Callable[[], BinaryIO]) -> None:
        """Bring a blob there if it is not."""
        if layer.digest in self.there:
            return
        held = self.look()
        if layer.digest not in held[1] and not self.place.has(layer.digest):
            self.place.put(Descriptor(layer.media_type, layer.digest, layer.size), opener)
            self.sent[layer.digest] = layer.size
        self.there.add(layer.digest)

    def look(self) -> tuple[bytes, frozenset[Digest]]:
        """The manifest that is there now, and the blobs that it names, which therefore are there too."""
        if self.before is None:
            try:
                document = self.place.manifest()[1]
                parsed = parse_manifest(document)
            except BuilderError:  # none yet, or one that nobody can read: it is replaced
                self.before = (b"", frozenset())
            else:
                blobs = (parsed.config, *parsed.layers) if isinstance(parsed, Manifest) else ()
                self.before = (document, frozenset(blob.digest for blob in blobs))
        return self.before
