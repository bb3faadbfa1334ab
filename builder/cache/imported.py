"""A remote cache to read from: its document is fetched once, in the background, when the store first lacks something; no layer
is until somebody needs it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from builder.cache.document import Document, RemoteRecord
from builder.cache.patience import Patience, PatientSource
from builder.cache.place import Place
from builder.cache.reading import read_document, read_small
from builder.cache.spec import CacheSpec
from builder.digest import Digest, digest_of
from builder.errors import BuilderError, ImageError
from builder.image.manifest import Descriptor, Index, Manifest, choose_platform, parse_manifest
from builder.image.platform import Platform
from builder.store.importing import bounded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class ImportedCache:
    """One `--cache-from`. Threads may share it.

    `trusted` are the keys of which one must have signed it (None: it is taken unsigned). `failed` says why nothing is taken
    from it any more, empty as long as it is used; `warn` is told that once. `signer` is the name of the key that signed it, empty
    where that is not asked. `source` gives its layers, as long as `patience` says
    that they are worth the wait; `mounts` gives its cache mounts.
    """

    def __init__(
        self,
        spec: CacheSpec,
        place: Place,
        platform: Platform,
        warn: Callable[[str], None],
        trusted: list[Ed25519PublicKey] | None,
    ) -> None:
        self.spec, self.place = spec, place
        self.patience = Patience(spec.wait, spec.timeout)
        self.source = PatientSource(place, self.patience)
        self.failed = ""
        self.signer = ""
        self._platform, self._warn, self._trusted = platform, warn, trusted
        self._lock = threading.Lock()
        self._document = Document("", ())
        self._by_key: dict[str, RemoteRecord] = {}
        self._digests: frozenset[Digest] = frozenset()
        self._begun = False
        self._ready = threading.Event()

    def begin(self) -> None:
        """Let the document be fetched meanwhile: it will be asked for."""
        with self._lock:
            if self._begun or self.failed:
                return
            self._begun = True
        threading.Thread(target=self._load, name="cache-import", daemon=True).start()

    def find(self, key: str) -> RemoteRecord | None:
        """The record of a portable key."""
        return self._by_key.get(key) if self._is_usable() else None

    def of_slot(self, slot: str) -> Iterator[RemoteRecord]:
        """All records of one step."""
        if self._is_usable():
            yield from (record for record in self._document.records if record.slot == slot)

    def document(self) -> Document | None:
        """All that it holds, None if it cannot be used."""
        return self._document if self._is_usable() else None

    def save_listing(self, descriptor: Descriptor, path: str) -> bool:
        """Write what a record's sources were to a new file; False if that cannot be had, which is no reason to give the cache
        up.
        """
        if not self._is_usable():
            return False
        hashed = hashlib.sha256()
        try:
            with open(path, "xb") as stream:
                for piece in bounded(self.source.read(descriptor), descriptor):  # no longer than it is worth
                    hashed.update(piece)
                    stream.write(piece)
        except Exception:  # a BuilderError, or whatever a place's library raises
            return False
        return hashed.hexdigest() == descriptor.digest.hex

    def offers(self, digest: Digest) -> bool:
        """Whether it has a layer, as far as it says."""
        return self._is_usable() and digest in self._digests

    def mounts(self) -> PatientSource:
        """What gives its cache mounts: nobody knows what one spares, but all of its steps together took no longer."""
        seconds = sum(record.seconds for record in self._document.records)
        return PatientSource(self.place, Patience(self.spec.wait + seconds, self.spec.timeout))

    def give_up(self, why: str) -> None:
        """Take nothing from it any more."""
        with self._lock:
            if self.failed:
                return
            self.failed = why
        self.place.abort()
        self._warn(f"cache import failed: {self.spec}: {why}")

    def close(self) -> None:
        """The build has ended: nothing is taken any more, and nobody told of it."""
        with self._lock:
            self.failed = self.failed or "the build has ended"
        self.place.abort()
        self.place.close()

    def _is_usable(self) -> bool:
        """Wait for the document; a place that takes too long for it is given up."""
        self.begin()
        if not self.failed and not self._ready.is_set():
            with self.patience.standing():
                answered = self._ready.wait(min(self.patience.left(), self.spec.timeout))
            if not answered:
                self.give_up(f"it did not answer within {min(self.spec.wait, self.spec.timeout):g} s")
        return not self.failed

    def _load(self) -> None:
        try:
            document = self._read()
            self._by_key = {key: record for record in document.records for key in record.keys}
            layers = [record.layer for record in document.records if record.layer is not None]
            blobs = [*layers, *(blob for mount in document.mounts for blob in mount.blobs)]
            self._digests = frozenset(blob.digest for blob in blobs)
            self._document = document
        except BuilderError as error:
            self.give_up(error.message)
        except OSError as error:
            self.give_up(error.strerror or type(error).__name__)
        except Exception as error:  # whatever a place's library raises for what it reads
            self.give_up(f"{type(error).__name__}: {str(error)[:200]}")
        finally:
            self._ready.set()

    def _read(self) -> Document:
        manifest = self._manifest()
        document, self.signer = read_document(self.place, manifest, self._trusted, self.spec.scope)
        return document

    def _manifest(self) -> Manifest:
        descriptor, data = self.place.manifest()
        for _ in range(3):
            if digest_of(data) != descriptor.digest:
                raise ImageError(f"its manifest does not have the digest {descriptor.digest}")
            parsed = parse_manifest(data)
            if isinstance(parsed, Manifest):
                return parsed
            descriptor = self._entry(parsed)
            data = read_small(self.place, descriptor)
        raise ImageError("its indexes lead too deep")

    def _entry(self, index: Index) -> Descriptor:
        chosen = choose_platform(index, self._platform)
        if chosen is None:
            raise ImageError(f"it is not there for {self._platform}")
        return chosen
