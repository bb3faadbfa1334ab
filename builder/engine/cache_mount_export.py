"""Cache mounts on their way to remote caches: what is new in them since what a place has of them is packed, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from builder.cache.document import LARGEST_LISTING, PART, MountPart, RemoteMount
from builder.cache.reading import read_blob, read_document
from builder.cache.target import Target
from builder.core.tree import hash_bytes
from builder.digest import Digest, digest_of
from builder.engine.cache_records import CacheRecords
from builder.errors import BuilderError, CoreError
from builder.image.manifest import Descriptor, Manifest, parse_manifest
from builder.store.store import Store

if TYPE_CHECKING:
    from builder.core.delta import Delta
    from builder.core.portable import Known
    from builder.core.tree import Tree
    from builder.engine.remote_cache import RemoteCache


class MountExport:
    """The cache mounts of a build, as its exports send them. `ids` are their ids by the names of their folders."""

    def __init__(
        self, store: Store, remote: RemoteCache, records: CacheRecords, warn: Callable[[str], None]
    ) -> None:
        self._store, self._remote, self._records, self._warn = store, remote, records, warn
        self.ids: dict[str, str] = {}
        self._before: dict[int, dict[str, RemoteMount]] = {}
        self._listed: dict[tuple[int, str], list[bytes]] = {}
        self._made: dict[tuple[object, ...], RemoteMount | None] = {}

    def look(self, target: Target) -> None:
        """Read what a place has of the mounts: before `of`, as it may take long."""
        from builder.store.cache_mounts import has_files

        there = self._before[id(target)] = self._read(target)
        for name in self.ids:
            if name in there and has_files(self._store, name):
                self._listed[id(target), name] = self._listings(target, there[name].parts)

    def of(self, target: Target) -> tuple[RemoteMount, ...]:
        """The mounts that are to be there: those that are here, else those of a cache that was read, or that the place has."""
        found = []
        for name, text in self.ids.items() if target.spec.mounts else ():
            mount = self._packed(target, name, text)
            if mount is None:
                elsewhere = self._remote.mount(name)
                mount = elsewhere[1] if elsewhere is not None else self._there(target).get(name)
            if mount is not None:
                found.append(mount)
        return tuple(found)

    def whole(self, target: Target, mounts: tuple[RemoteMount, ...]) -> tuple[RemoteMount, ...]:
        """Those of the mounts that are there now; for others what the place had of them before."""
        found = []
        wanted = {mount.name: mount for mount in mounts}
        for name in self.ids:
            mount, earlier = wanted.get(name), self._there(target).get(name)
            if mount is not None and all(blob.digest in target.there for blob in mount.blobs):
                found.append(mount)
            elif earlier is not None:
                target.there.update(blob.digest for blob in earlier.blobs)  # its manifest names them
                found.append(earlier)
        return tuple(found)

    # --- what is there ---

    def _there(self, target: Target) -> dict[str, RemoteMount]:
        """The mounts that a place has, by name, as far as `look` found that out; none if its document cannot be read, or nobody
        signed it who should.
        """
        return self._before.get(id(target), {})

    def _read(self, target: Target) -> dict[str, RemoteMount]:
        text, blobs = target.look()
        if not text:
            return {}
        try:
            manifest = parse_manifest(text)
            if not isinstance(manifest, Manifest):
                return {}
            trusted = self._records.trusted(target.spec)
            document, _ = read_document(target.place, manifest, trusted, target.spec.scope)
        except BuilderError:
            return {}
        # What no manifest names may be gone.
        return {
            mount.name: mount
            for mount in document.mounts
            if all(blob.digest in blobs for blob in mount.blobs)
        }

    def _listings(self, target: Target, parts: tuple[MountPart, ...]) -> list[bytes]:
        """The listings of the parts that a place has, as many of the first as can be had."""
        found: list[bytes] = []
        size = 0
        for part in parts:
            size += part.listing.size
            if size > LARGEST_LISTING:
                break
            data = self._kept(part.listing)
            if data is None:
                try:
                    data = read_blob(target.place, part.listing, "the listing of a cache mount does")
                except BuilderError:
                    break
                self._keep(part.listing.digest, data)
            found.append(data)
        return found

    def _path(self, digest: Digest) -> str:
        """Where this store keeps a listing, so that it need not be fetched; it goes like the indexes of contexts."""
        return self._store.index_path(digest.hex)

    def _kept(self, listing: Descriptor) -> bytes | None:
        try:
            with open(self._path(listing.digest), "rb") as stream:
                data = stream.read(listing.size + 1)
        except OSError:
            return None
        return data if digest_of(data) == listing.digest else None

    def _keep(self, digest: Digest, data: bytes) -> None:
        fresh = os.path.join(self._records.scratch(), "listing")
        with suppress(OSError):
            with open(fresh, "xb") as stream:
                stream.write(data)
            os.replace(fresh, self._path(digest))

    # --- what is new ---

    def _packed(self, target: Target, name: str, text: str) -> RemoteMount | None:
        """A mount of this store, packed once for all targets that have the same of it; None if there is none, or it is in use."""
        from builder.store.cache_mounts import has_files

        if not has_files(self._store, name):
            return None
        there = self._there(target).get(name)
        parts = there.parts if there is not None else ()
        listings = self._listed.get((id(target), name), [])
        kept = parts[: len(listings)]
        key = (name, target.spec.compression, *(part.listing.digest for part in kept))
        if key not in self._made:
            try:
                found = self._pack(name, target.spec.compression, kept, listings)
                self._made[key] = RemoteMount(name, text, parts=found) if found else None
            except BuilderError as error:
                self._warn(f"the cache mount {text} is not exported: {error.message}")
                return None
        return self._made[key]

    def _pack(
        self, name: str, compression: str, parts: tuple[MountPart, ...], listings: list[bytes]
    ) -> tuple[MountPart, ...]:
        """The parts of a mount as it is now, of which the first are some that are there."""
        from builder.core.portable import Known
        from builder.core.tree import Tree
        from builder.store.cache_mounts import in_use, opened

        store = self._store
        index, digests = (
            store.index_path(hash_bytes(b"cache mount %b %b" % (kind, name.encode())).hex())
            for kind in (b"index", b"digests")
        )
        try:
            with (
                in_use(store, name),
                opened(store, name) as fd,
                Tree(fd, secret=store.secret, index=index, spare_fd=store.fd) as tree,
                Known(digests, store.secret) as known,
            ):
                found = self._pack_tree(tree, known, compression, parts, listings)
                if tree.stats().files_hashed:
                    tree.save(index)
                known.save()
                return found
        except CoreError as error:
            if error.errno != errno.EBADMSG or not parts:
                raise
        return self._pack(name, compression, (), [])  # what is there is damaged

    def _pack_tree(
        self, tree: Tree, known: Known, compression: str, parts: tuple[MountPart, ...], listings: list[bytes]
    ) -> tuple[MountPart, ...]:
        from builder.execute.packs import pack_part

        delta, kept, size, listing = self._compare(tree, known, listings)
        with delta:
            if not listing:
                return parts[:kept]
            described = _describe(listing)
            packs = list(pack_part(delta, size, os.path.dirname(listing), compression=compression))
        self._records.files[described.digest] = listing
        self._records.files.update({pack.layer.digest: pack.path for pack in packs})
        with suppress(OSError):
            os.link(listing, self._path(described.digest))
        return (*parts[:kept], MountPart(described, tuple(pack.layer for pack in packs)))

    def _compare(self, tree: Tree, known: Known, listings: list[bytes]) -> tuple[Delta, int, int, str]:
        """What is new, how many parts stay, how large what is new is, and its listing's file: empty if nothing is."""
        from builder.core.delta import Delta
        from builder.execute.packs import parts_to_keep

        delta = Delta(tree, known)
        try:
            while listings:  # they may be large
                delta.add(listings.pop(0))
            sums = delta.sums()
            kept = parts_to_keep(sums)
            if not sums[kept].changed and not sums[kept].gone:
                return delta, kept, 0, ""
            listing = os.path.join(self._records.scratch(), "part")
            delta.choose(kept, listing)
            return delta, kept, sums[kept].fresh, listing
        except BaseException:
            delta.close()
            raise


def _describe(listing: str) -> Descriptor:
    size = os.path.getsize(listing)
    if size > LARGEST_LISTING:
        raise BuilderError(f"it has too many files: their listing has more than {LARGEST_LISTING >> 20} MiB")
    with open(listing, "rb") as stream:
        name = hashlib.file_digest(stream, "sha256").hexdigest()
    return Descriptor(PART, Digest("sha256", name), size)
