"""Removing single items from the store, while builds go on: what somebody uses stays, and what goes is a miss from then on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from builder.core.files import remove_tree
from builder.core.usage import Usages
from builder.digest import Digest
from builder.errors import CoreError
from builder.store.holds import exists, take
from builder.store.listings import sweep, unlink
from builder.store.store import Store
from builder.store.survey import Item, digest_or_none, layer_digests

_RETURNED = "DELETE FROM borrowed WHERE key IN (SELECT key FROM records WHERE state = ?)"


class _InUse(Exception):
    """Somebody needs it after all."""


class Evictor:
    """Removes items; each method gives the bytes that it gave back, or None if the item is in use."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database = store.database
        # Blobs that images' manifests name: those that no row of `layers` names for a state.
        self._images = {
            str(image.manifest): {str(image.config), *layer_digests(store, image)}
            for image in store.images.all()
        }

    def evict(self, item: Item) -> int | None:
        """Remove an item of any kind."""
        if item.kind in ("step", "layer"):
            return self._state(item)
        ways = {
            "image": self._image,
            "cache": self._cache,
            "download": self._download,
            "index": self._index,
            "syntax": self._syntax,
        }
        return ways[item.kind](item)

    # --- kinds ---

    def _state(self, item: Item) -> int | None:
        state = bytes.fromhex(item.id)
        row = self._database.one("SELECT snapshot FROM states WHERE id = ?", (state,))
        if row is None:
            return self._promise(state)
        path = f"snapshots/{row[0]}"
        with self._taken(path, folder=True) as there:
            if there is None:
                return None
            freed = self._own(path) if there else 0
            moved = f"runs/{os.urandom(8).hex()}"
            try:
                with self._database.transaction():
                    self._check_free(state)
                    freed += self._forget_state(state, path)
                    if there:
                        self._rename(path, moved)
            except _InUse:
                return None
            except BaseException:
                if there and exists(self._store.fd, moved):
                    self._rename(moved, path)
                raise
            self._remove(moved)
        return freed

    def _promise(self, state: bytes) -> int | None:
        """A state whose files are elsewhere: a build that wants them just now begins anew without."""
        try:
            with self._database.transaction():
                self._check_free(state)
                return self._forget_state(state, "")
        except _InUse:
            return None

    def _check_free(self, state: bytes) -> None:
        child = self._database.one(
            "SELECT 1 FROM states WHERE parent = ? UNION ALL "
            "SELECT 1 FROM promises WHERE parent = ? AND state NOT IN (SELECT id FROM states) LIMIT 1",
            (state, state),
        )
        image = self._database.one("SELECT 1 FROM images WHERE state = ? LIMIT 1", (state,))
        if child is not None or image is not None:
            raise _InUse

    def _forget_state(self, state: bytes, path: str) -> int:
        """Drop all rows about a state, its blobs and its listings, whose bytes come back; call it in a transaction."""
        records = self._database.all("SELECT key, slot, listing FROM records WHERE state = ?", (state,))
        self._store.evictions.note(row[0] for row in records)
        self._database.run(_RETURNED, (state,))
        self._database.run("DELETE FROM records WHERE state = ?", (state,))
        freed = self._unlink_listings(records)
        digests = self._database.all("SELECT digest FROM layers WHERE state = ?", (state,))
        self._database.run("DELETE FROM layers WHERE state = ?", (state,))
        self._database.run("DELETE FROM states WHERE id = ?", (state,))
        self._database.run("DELETE FROM promises WHERE state = ?", (state,))
        self._database.run("DELETE FROM portable_states WHERE state = ?", (state,))
        self._database.run("DELETE FROM contents WHERE state = ?", (state,))
        self._store.sizes.forget(path)
        return freed + self._unlink_blobs(str(row[0]) for row in digests)

    def _image(self, item: Item) -> int | None:
        digest = digest_or_none(item.id)
        if digest is None:
            return 0
        with self._taken(f"blobs/sha256/{digest.hex}") as there:
            if there is None:
                return None
            try:
                with self._database.transaction():
                    if self._database.one("SELECT 1 FROM names WHERE manifest = ? LIMIT 1", (item.id,)):
                        raise _InUse
                    self._database.run("DELETE FROM images WHERE manifest = ?", (item.id,))
                    blobs = {item.id, *self._images.pop(item.id, ())}
                    return self._unlink_blobs(blobs)
            except _InUse:
                return None

    def _cache(self, item: Item) -> int | None:
        path = f"caches/{item.id}"
        with self._taken(path, folder=True) as there:
            if there is None:
                return None
            if not there:
                return 0
            freed = self._own(path)
            moved = f"runs/{os.urandom(8).hex()}"
            self._rename(path, moved)
            self._store.sizes.forget(path)
            self._remove(moved)
        return freed

    def _download(self, item: Item) -> int | None:
        key = bytes.fromhex(item.id)
        row = self._database.one("SELECT digest FROM downloads WHERE url = ?", (key,))
        digest = None if row is None else digest_or_none(str(row[0]))
        if digest is None:
            self._database.run("DELETE FROM downloads WHERE url = ?", (key,))
            return 0
        with self._taken(f"blobs/sha256/{digest.hex}") as there:
            if there is None:
                return None
            with self._database.transaction():
                self._database.run("DELETE FROM downloads WHERE url = ?", (key,))
                return self._unlink_blobs([str(digest)])

    def _index(self, item: Item) -> int | None:
        self._unlink(f"indexes/{item.id}")
        return item.size

    def _syntax(self, item: Item) -> int | None:
        del item
        self._database.run("DELETE FROM parsed")
        return 0

    # --- records alone ---

    def records(self, states: Iterable[bytes]) -> int:
        """Remove the records that lead to states which stay; how many."""
        count = 0
        with self._database.transaction():
            for state in states:
                rows = self._database.all("SELECT key, slot, listing FROM records WHERE state = ?", (state,))
                self._store.evictions.note(row[0] for row in rows)
                self._database.run(_RETURNED, (state,))
                self._database.run("DELETE FROM records WHERE state = ?", (state,))
                self._unlink_listings(rows)
                count += len(rows)
        return count

    # --- files ---

    def _unlink_blobs(self, digests: Iterable[str]) -> int:
        """Unlink those blobs that nobody else needs; call it in a transaction, so that nobody begins to meanwhile."""
        freed = 0
        for text in digests:
            digest = digest_or_none(text)
            if digest is not None and not self._is_needed(digest):
                freed += self._unlink(f"blobs/sha256/{digest.hex}")
        return freed

    def _is_needed(self, digest: Digest) -> bool:
        text = str(digest)
        if any(text == manifest or text in blobs for manifest, blobs in self._images.items()):
            return True
        return any(
            self._database.one(f"SELECT 1 FROM {table} WHERE {column} = ? LIMIT 1", (text,))
            for table, column in (
                ("layers", "digest"),
                ("downloads", "digest"),
                ("images", "manifest"),
                ("images", "config"),
            )
        )

    def _unlink_listings(self, records: Iterable[tuple[object, ...]]) -> int:
        """Unlink the listings of records that were dropped: key, slot, listing."""
        gone = {(str(slot), os.path.basename(str(listing))) for _, slot, listing in records if listing}
        freed = sum(unlink(self._store, slot, listing) for slot, listing in gone)
        return freed + sum(sweep(self._store, slot) for slot in {slot for slot, _ in gone})

    def _unlink(self, path: str) -> int:
        """Unlink a file; the bytes that it took."""
        try:
            size = os.stat(path, dir_fd=self._store.fd, follow_symlinks=False).st_blocks * 512
            os.unlink(path, dir_fd=self._store.fd)
        except OSError:
            return 0
        return size

    @contextmanager
    def _taken(self, path: str, *, folder: bool = False) -> Iterator[bool | None]:
        """Whether something is there, locked for this process alone; None if somebody uses it."""
        fd = take(self._store.fd, path, folder=folder)
        try:
            yield None if fd is None else fd >= 0
        finally:
            if fd is not None and fd >= 0:
                os.close(fd)

    def _own(self, path: str) -> int:
        try:
            with Usages() as usages:
                return usages.add(self._store.fd, path.encode()).own
        except CoreError:
            return 0

    def _rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self._store.fd, dst_dir_fd=self._store.fd)

    def _remove(self, path: str) -> None:
        """Remove a folder that nobody knows any more. Should this process end before, the next build does it."""
        try:
            remove_tree(self._store.fd, path.encode())
        except CoreError:
            pass
