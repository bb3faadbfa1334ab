"""The store: one folder that holds all that is kept between builds.

It is an OCI image layout (`oci-layout`, `index.json`, `blobs/`) with more beside it; see docs/store.md.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from types import TracebackType

from builder.core.tree import hash_bytes
from builder.digest import Digest, digest_of
from builder.errors import StoreError
from builder.image.manifest import Manifest, parse_manifest
from builder.image.platform import Platform
from builder.store import durable
from builder.store.blobs import Blobs
from builder.store.database import Database
from builder.store.downloads import Downloads
from builder.store.evictions import Evictions
from builder.store.history import History
from builder.store.holds import Holds
from builder.store.images import Images, StoredImage
from builder.store.layers import Layers
from builder.store.locks import locked
from builder.store.meter import Meter
from builder.store.outputs import Outputs
from builder.store.pieces import Pieces
from builder.store.proofs import Proofs
from builder.store.records import Records
from builder.store.runs import Run, new_run, sweep
from builder.store.sizes import Sizes
from builder.store.states import State, States

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.store.arrival import Supplier
    from builder.store.contents import Contents
    from builder.store.portables import Portables
    from builder.store.sendings import Sendings

_FOLDERS = ("blobs/sha256", "snapshots", "runs", "indexes", "listings", "locks")
_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
_EMPTY_INDEX = (
    b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
)
SECRET_SIZE = 192
_LOCKS = 256
# Bytes written, or files made, from which on the disk takes longer than a process to start.
_MUCH, _MANY = 32 << 20, 2000


class Store:
    """An open store; threads may share it. `fd` is its folder, `secret` what its fingerprints are made with.

    `userxattr` tells that overlay marks are those of a user namespace. `boot` is the machine's last start, `holds` what
    this process uses.
    """

    def __init__(
        self, path: str, fd: int, secret: bytes, database: Database, holds: Holds, *, userxattr: bool
    ) -> None:
        self.path = path
        self.fd = fd
        self.secret = secret
        self.userxattr = userxattr
        self.reading = database.reading
        self.database = database
        self.holds = holds
        boot = durable.boot_id()
        self.boot = boot
        self.meter = Meter()
        self.records = Records(database, boot)
        self.states = States(database, fd, boot, holds)
        self.layers = Layers(database)
        self.pieces = Pieces(database)
        self.outputs = Outputs(database)
        self.history = History(database)
        self.evictions = Evictions(database)
        self.blobs = self._open_blobs()
        self.proofs = Proofs(database, fd, self.blobs, self.meter, boot)
        self.downloads = Downloads(database, secret, fd, self.blobs)
        self.sizes = Sizes(database)
        self.supplier: Supplier | None = None
        """Where promised layers come from, if a build has remote caches."""
        self.check: Callable[[], None] | None = None
        """Called while something is waited for that other builds do; raises what is to end that."""
        self.images = Images(database, fd, self.blobs)

    def _open_blobs(self) -> Blobs:
        return Blobs(self.fd, self.meter, self.holds)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store."""
        try:
            self.proofs.keep(durable=False)
        except StoreError:  # no room, for one: blobs are read once more
            pass
        self.database.close()
        self.holds.close()
        os.close(self.fd)

    def flush(self, *, wait: bool = True) -> None:
        """Bring to the disk what was made, then let its records count after a power cut too: see `builder.store.durable`.

        Without `wait` a process of its own does so, if much was made; the store may be closed meanwhile.
        """
        pending, entries = durable.pending(self.database, self.boot)
        if not pending:
            return
        if not wait and (self.meter.traffic.written >= _MUCH or entries >= _MANY):
            self.proofs.keep(durable=False)
            if durable.begin(self.path):
                return
        durable.make_durable(self.database, self.fd, self.boot)
        self.proofs.keep(durable=True)

    @property
    def portables(self) -> Portables:
        """What is remembered of the names that states and keys have on every machine."""
        from builder.store.portables import Portables

        return Portables(self.database)

    @property
    def contents(self) -> Contents:
        """What is remembered of the names of files of states."""
        from builder.store.contents import Contents

        return Contents(self.database)

    @property
    def sendings(self) -> Sendings:
        """What is, or was, written to remote caches when commands had ended."""
        from builder.store.sendings import Sendings

        return Sendings(self.database)

    def cache_ids(self) -> dict[str, str]:
        """The ids of cache mounts by the names of their folders."""
        return {str(name): str(text) for name, text in self.database.all("SELECT name, id FROM cache_mounts")}

    def name_cache(self, name: str, text: str) -> None:
        """Remember the id of a cache mount."""
        self.database.run("INSERT OR REPLACE INTO cache_mounts (name, id) VALUES (?,?)", (name, text))

    # --- files of builds ---

    def chain(self, state: bytes) -> tuple[State, ...]:
        """The states that a state is made of, the lowest first."""
        return self.states.chain(state)

    def lowers(self, state: bytes) -> list[str]:
        """The snapshots of a state, relative to the store, the topmost first; promised ones are fetched now."""
        chain = self.states.chain(state)
        if any(not part.snapshot for part in chain):
            # Late: only builds with a remote cache have promises.
            from builder.store.arrival import bring

            bring(self, [part for part in chain if not part.snapshot])
            chain = self.states.chain(state)
        return [self.states.path(part) for part in reversed(chain)]

    def snapshot(self, state: bytes) -> State | None:
        """A state whose files are here; a promised one is fetched now. None if the store has no such state."""
        found = self.states.get(state)
        if found is not None and not found.snapshot:
            self.lowers(state)
            found = self.states.get(state)
        return found

    def is_available(self, state: bytes) -> bool:
        """Whether a state's own files are here, or can be fetched when they are needed."""
        found = self.states.get(state)
        if found is None or found.snapshot:
            return found is not None
        from builder.store.arrival import is_available

        return is_available(self, state)

    def open_empty(self) -> int:
        """A descriptor of an empty folder, which stands for a state without files."""
        folder = os.path.join(self.path, "empty")
        os.makedirs(folder, mode=0o755, exist_ok=True)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def new_run(self) -> Run:
        """A private place to carry out a step in."""
        return new_run(self.fd, self.path)

    def step_lock(self, key: bytes) -> AbstractContextManager[None]:
        """Held while a step is carried out, so that two builds do not do the same work at once."""
        return locked(self.fd, f"step-{int.from_bytes(key[:4], 'big') % _LOCKS:02x}", self.check)

    def index_path(self, name: str) -> str:
        """The file of a context's stat index."""
        return os.path.join(self.path, "indexes", name)

    def listing_file(self, slot: str, name: str) -> str:
        """The path of a listing of a slot's step, which says what its sources were."""
        folder = hash_bytes(slot.encode("utf-8", "surrogateescape"), self.secret).hex()
        return os.path.join(self.path, "listings", folder, name)

    def get_parsed(self, digest: Digest) -> str | None:
        """The syntax tree kept for a build file's text."""
        row = self.database.one("SELECT tree FROM parsed WHERE digest = ?", (str(digest),))
        return None if row is None else str(row[0])

    def put_parsed(self, digest: Digest, tree: str) -> None:
        """Keep a syntax tree, if this store is not only looked at."""
        if self.reading:
            return
        self.database.run("INSERT OR REPLACE INTO parsed (digest, tree) VALUES (?,?)", (str(digest), tree))

    # --- images ---

    def find_image(self, text: str, platform: Platform | None = None) -> StoredImage | None:
        """An image by name or id; see `Images.find`."""
        return self.images.find(text, platform)

    def use_image(self, image: StoredImage) -> bool:
        """Whether an image that was found is still there, with all its files; if so, nobody removes them now."""
        if not self.blobs.hold(image.manifest) or self.images.by_manifest(image.manifest) is None:
            return False
        try:
            self.chain(image.state)
        except StoreError:
            return False
        return True

    def put_image(
        self, manifest: bytes, config: bytes, *, state: bytes, platform: Platform, keep: bool = True
    ) -> StoredImage:
        """Keep an image whose layers' blobs are there; of one that lacks some (`keep` is false) only its documents."""
        parsed = parse_manifest(manifest)
        assert isinstance(parsed, Manifest)
        config_digest = self.blobs.put(config)
        was_there = self.blobs.has(digest_of(manifest))
        manifest_digest = self.blobs.put(manifest)
        size = sum(layer.size for layer in parsed.layers)
        image = self.images.put(
            manifest_digest,
            config_digest,
            state=state,
            platform=platform,
            size=size,
            media_type=parsed.media_type,
            keep=keep,
        )
        if image.names and not was_there:  # it was lost, and the index has been without it
            self.images.write_index()
        return image

    def read_blob(self, digest: Digest) -> bytes:
        """The bytes of a small blob, verified."""
        return self.blobs.read(digest)

    def manifest_of(self, image: StoredImage) -> Manifest:
        """The manifest of an image."""
        parsed = parse_manifest(self.blobs.read(image.manifest))
        assert isinstance(parsed, Manifest)
        return parsed


def open_store(
    path: str, *, userxattr: bool = False, reading: bool = False, aside: bool = False, make: bool = True
) -> Store:
    """Open a store, or make a new one where there is none; without `make` that is a `StoreError`.

    With `reading` nothing is made, swept or changed: what would write to the database is a `StoreError`, or, `aside`, is kept
    in memory as long as the store is open (see `builder.store.aside`).
    A `StoreError` says what is in the way: a folder that is something else, no right to write, a newer version.
    """
    path = os.path.abspath(path)
    if (reading or not make) and not os.path.exists(os.path.join(path, "secret")):
        raise StoreError(f'there is no store at "{path}"', hint="the first build makes one")
    try:
        new = reading or _prepare(path)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(
            f'the store "{path}" cannot be used: {error.strerror}',
            hint="choose a folder that you can write to, with --store or PYBUILD_STORE",
        ) from None
    holds = Holds(fd)
    try:
        secret = _read_secret(fd)
        if not reading:
            holds.store()
        database = Database(
            os.path.join(path, "pybuild.db"), locked(fd, "database"), reading=reading, aside=aside
        )
        if not new:
            sweep(fd)
    except OSError as error:
        holds.close()
        os.close(fd)
        raise StoreError(
            f'the store "{path}" cannot be used: {error.strerror}',
            hint="choose another folder with --store or PYBUILD_STORE",
        ) from None
    except BaseException:
        holds.close()
        os.close(fd)
        raise
    if aside:
        # Late: only plans with a remote cache look at a store so.
        from builder.store.aside import AsideStore

        return AsideStore(path, fd, secret, database, holds, userxattr=userxattr)
    return Store(path, fd, secret, database, holds, userxattr=userxattr)


def _prepare(path: str) -> bool:
    """Make the folders of a new store; False if there is one already."""
    if os.path.exists(os.path.join(path, "secret")):
        return False
    os.makedirs(path, exist_ok=True)
    strangers = [
        name
        for name in os.listdir(path)
        if name not in _OWN_NAMES and not name.startswith((".", "set-aside-"))
    ]
    if strangers:
        raise StoreError(
            f'"{path}" is no store: it holds {strangers[0]!r}', hint="choose an empty folder for the store"
        )
    for folder in _FOLDERS:
        os.makedirs(os.path.join(path, folder), mode=0o755, exist_ok=True)
    _write_new(os.path.join(path, "oci-layout"), _LAYOUT, 0o644)
    _write_new(os.path.join(path, "index.json"), _EMPTY_INDEX, 0o644)
    # Last: its being there says that the rest is.
    _write_new(os.path.join(path, "secret"), os.urandom(SECRET_SIZE), 0o600)
    return True


_OWN_NAMES = frozenset(
    {*(folder.split("/")[0] for folder in _FOLDERS), "oci-layout", "index.json", "secret", "caches", "empty"}
    | {"pybuild.db", "pybuild.db-wal", "pybuild.db-shm", "pybuild.db-journal"}
)


def _write_new(path: str, data: bytes, mode: int) -> None:
    """Write a file that appears whole; if another process was first, its file stays."""
    temporary = f"{os.path.dirname(path)}/.{os.urandom(8).hex()}"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as stream:
        stream.write(data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)


def _read_secret(fd: int) -> bytes:
    with open(os.open("secret", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=fd), "rb") as stream:
        secret = stream.read(SECRET_SIZE + 1)
    if len(secret) != SECRET_SIZE:
        raise StoreError(
            "the store's secret is damaged",
            hint="pybuild doctor --mend makes another and brings the images back; the cache begins anew",
        )
    return secret


def default_store_path() -> str:
    """The user's own store: in the data folder of the platform (XDG)."""
    from platformdirs import user_data_path

    return str(user_data_path("pybuild", appauthor=False))
