"""What this machine's states are called on every machine.

    empty          SHA-256 of "pybuild empty"
    of an image    SHA-256 of "pybuild image " and the chain id of its layers
    after a step   SHA-256 of "pybuild step ", the digest of the state below and that of what the step changed

A step's changes enter without times, so that a step that ran again with an equal result leads to the same digest, here and
elsewhere. A layer's own digest would not do: it has the times of its files.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence

from builder.core.portable import Known
from builder.core.tree import Ignore, Tree, hash_bytes
from builder.errors import StoreError
from builder.store.importing import next_chain, state_of_chain
from builder.store.states import SCRATCH
from builder.store.store import Store

_EMPTY = hashlib.sha256(b"pybuild empty").digest()


def image_digest(chain_id: str) -> bytes:
    """The portable digest of the files of an image."""
    return hashlib.sha256(b"pybuild image " + chain_id.encode()).digest()


def step_digest(parent: bytes, changes: bytes) -> bytes:
    """The portable digest of the files after a step."""
    return hashlib.sha256(b"pybuild step " + parent + changes).digest()


class Portables:
    """Portable digests, found out when they are first needed and remembered in the store. Threads may share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows = store.portables
        self._lock = threading.RLock()
        self._known: Known | None = None
        self._states: dict[bytes, tuple[bytes, bytes]] = {SCRATCH: (_EMPTY, b"")}

    def close(self) -> None:
        """Keep what was found out about files."""
        with self._lock:
            if self._known is not None:
                if not self._store.reading:
                    self._known.save()
                self._known.close()
                self._known = None

    def files(self, tree: Tree, node: int, *, exclude: Ignore | None, without_owner: bool) -> str:
        """The portable digest of files of a tree, which the caller has locked; hexadecimal."""
        with self._lock:
            return self._digests().digest(tree, node, exclude=exclude, without_owner=without_owner).hex()

    def save_listing(
        self, tree: Tree, nodes: Sequence[int], file: str, *, exclude: Ignore | None, without_owner: bool
    ) -> None:
        """Write what nodes of a tree, which the caller has locked, and all below them are, as every machine has it."""
        with self._lock:
            self._digests().save_listing(tree, nodes, file, exclude=exclude, without_owner=without_owner)

    def of_state(self, state: bytes) -> bytes:
        """The portable digest of a state."""
        return self._of_state(state)[0]

    def changes(self, state: bytes) -> bytes:
        """The portable digest of a state's own changes."""
        return self._of_state(state)[1]

    def set_state(self, state: bytes, digest: bytes, changes: bytes) -> None:
        """Remember what a state is called, with its own changes."""
        self._states[state] = digest, changes
        self._rows.put_state(state, digest, changes)

    def _of_state(self, state: bytes) -> tuple[bytes, bytes]:
        found = self._known_state(state)
        if found is None:
            with self._lock:
                found = self._find(state)
        return found

    def _known_state(self, state: bytes) -> tuple[bytes, bytes] | None:
        found = self._states.get(state) or self._rows.state(state)
        if found is not None:
            self._states[state] = found
        return found

    def _digests(self) -> Known:
        if self._known is None:
            self._known = Known(
                self._store.index_path(hash_bytes(b"portable digests").hex()), self._store.secret
            )
        return self._known

    def _find(self, state: bytes) -> tuple[bytes, bytes]:
        """Go up the states that it is made of: first those of an image's layers, then those of steps."""
        digest, changes, chain_id, of_image = _EMPTY, b"", "", True
        for part in self._store.chain(state):
            if of_image:
                following = self._next_chain(part.id, chain_id)
                of_image = following is not None
                chain_id = following or chain_id
            known = self._known_state(part.id)
            if known is not None:
                digest, changes = known
                continue
            if of_image:
                digest, changes = image_digest(chain_id), b""
            else:
                changes = self._read(part.id)
                digest = step_digest(digest, changes)
            self.set_state(part.id, digest, changes)
        return digest, changes

    def _read(self, state: bytes) -> bytes:
        """Read a state's own changes."""
        snapshot = self._store.snapshot(state)
        if snapshot is None:
            raise StoreError(f"the files of state {state.hex()[:12]} are not in the store any more")
        path = self._store.states.path(snapshot)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._store.fd)
        try:
            with Tree(fd, secret=self._store.secret, spare_fd=self._store.fd) as tree:
                return self._digests().digest(tree, tree.find(b""), changes=True)
        finally:
            os.close(fd)

    def _next_chain(self, state: bytes, chain_id: str) -> str | None:
        """The chain id that a state of an image's layers stands for; None for the state of a step."""
        for layer in self._store.layers.of_state(state):
            following = next_chain(chain_id, layer.diff_id)
            if state_of_chain(following) == state:
                return following
        return None
