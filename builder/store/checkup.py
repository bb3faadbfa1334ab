"""Looking whether a store is sound: its database, the files that its rows name, the bytes of its blobs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from builder.digest import Digest, parse_digest
from builder.errors import BuilderError, ImageError
from builder.image.manifest import Index, parse_manifest
from builder.store.database import Database
from builder.store.entries import names
from builder.store.holds import Holds
from builder.store.images import FULL_NAME
from builder.store.store import Store

_CHUNK = 1 << 20
_INDEX_LIMIT = 16 << 20


def faults(database: Database) -> list[str]:
    """What SQLite finds wrong with the database, a few lines of it; empty if it is sound."""
    try:
        lines = [str(row[0]) for row in database.all("PRAGMA integrity_check(5)")]
    except BuilderError as error:
        return [error.message]
    return [] if lines == ["ok"] else lines


def damaged_blobs(store: Store) -> Iterator[Digest]:
    """Blobs that do not have the bytes of their digest. All are read, whatever was proven of them earlier."""
    for name in names(store.fd, "blobs/sha256"):
        try:
            digest = parse_digest(f"sha256:{name}")
            hashed = hashlib.sha256()
            with store.blobs.open(digest) as stream:
                while chunk := stream.read(_CHUNK):
                    hashed.update(chunk)
        except ImageError:  # no name of a blob, or gone meanwhile
            continue
        except OSError:  # a disk that does not give it back
            yield digest
            continue
        if hashed.hexdigest() != name:
            yield digest


def missing_snapshots(store: Store) -> int:
    """How many states the database names whose files are not there."""
    known = set(names(store.fd, "snapshots"))
    return sum(str(row[0]) not in known for row in store.database.all("SELECT snapshot FROM states"))


def nameless(store: Store) -> int:
    """How many snapshots and blobs nothing in the database names."""
    known = {str(row[0]) for row in store.database.all("SELECT snapshot FROM states")}
    blobs: set[str] = set()
    for query in (
        "SELECT digest FROM layers",
        "SELECT digest FROM downloads",
        "SELECT manifest FROM images UNION SELECT config FROM images",
    ):
        blobs.update(str(row[0]).removeprefix("sha256:") for row in store.database.all(query))
    for image in store.images.all():
        try:
            blobs.update(layer.digest.hex for layer in store.manifest_of(image).layers)
        except BuilderError:
            continue
    found = [name for name in names(store.fd, "snapshots") if name not in known]
    return len(found) + sum(name not in blobs for name in names(store.fd, "blobs/sha256"))


def named_images(path: str) -> list[tuple[str, Digest]]:
    """The images that the store's `index.json` names, with the digests of their manifests; none if it is damaged."""
    try:
        with open(os.path.join(path, "index.json"), "rb") as stream:
            index = parse_manifest(stream.read(_INDEX_LIMIT))
    except (OSError, BuilderError):
        return []
    entries = index.manifests if isinstance(index, Index) else ()
    found = [(dict(entry.annotations).get(FULL_NAME, ""), entry.digest) for entry in entries]
    return [(name, digest) for name, digest in found if name]


def set_aside(path: str) -> str:
    """Put the database of a store, and a secret that is none, into a folder of their own, whose name it gives back.

    False words are no loss there: the next process that opens the store begins with an empty database. Nobody may have
    the store open: a `BuilderError` if somebody has.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    holds = Holds(fd)
    try:
        holds.store()
        if not holds.alone():
            raise BuilderError(
                "another process uses the store",
                hint="wait for its end, or stop it, then do the same once more",
            )
        folder = f"set-aside-{os.urandom(4).hex()}"
        os.mkdir(folder, 0o700, dir_fd=fd)
        moved = ["pybuild.db", "pybuild.db-wal", "pybuild.db-shm", "pybuild.db-journal"]
        if not _is_secret(fd):
            moved.append("secret")
        for name in moved:
            try:
                os.rename(name, f"{folder}/{name}", src_dir_fd=fd, dst_dir_fd=fd)
            except FileNotFoundError:
                continue
        return folder
    finally:
        holds.close()
        os.close(fd)


def _is_secret(fd: int) -> bool:
    from builder.store.store import SECRET_SIZE

    try:
        return os.stat("secret", dir_fd=fd).st_size == SECRET_SIZE
    except OSError:
        return False
