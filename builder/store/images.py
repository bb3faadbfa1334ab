"""Images of the store and their names."""

from __future__ import annotations

import json
import os
import time

from builder.digest import Digest, parse_digest
from builder.errors import ImageError, UsageError
from builder.image.platform import Platform
from builder.image.reference import parse_reference
from builder.store.blobs import Blobs
from builder.store.database import Database
from builder.store.locks import locked
from builder.store.rows import number, whole
from builder.value import dataclass

_COLUMNS = "manifest, config, state, platform, created, size, media_type"
_REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"
_SHORTEST_ID = 4


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image: the digests of its manifest and config, the state that its files are, and where it came from.

    `platform` is text; `created` is when it came into the store, seconds since 1970; `size` the bytes of its layers' blobs.
    """

    manifest: Digest
    config: Digest
    state: bytes
    platform: str
    created: float
    size: int
    media_type: str
    names: tuple[str, ...] = ()


class Images:
    """All images of a store. Names are kept complete; `index.json` names them for other tools.

    `fresh` are the manifests that were not known before this process brought them.
    """

    def __init__(self, database: Database, fd: int, blobs: Blobs) -> None:
        self._database = database
        self._fd = fd
        self._blobs = blobs
        self.fresh: set[Digest] = set()

    def put(
        self,
        manifest: Digest,
        config: Digest,
        *,
        state: bytes,
        platform: Platform,
        size: int,
        media_type: str,
        keep: bool = True,
    ) -> StoredImage:
        """Remember an image whose blobs are there (`keep`)."""
        known = self.by_manifest(manifest)
        if known is not None and known.state == state:
            return known
        image = StoredImage(
            manifest, config, state, str(platform.normalised()), time.time(), size, media_type
        )
        self.fresh.add(manifest)
        if not keep:
            return image
        self._database.run(
            f"INSERT OR REPLACE INTO images ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)",
            (str(manifest), str(config), state, image.platform, image.created, size, media_type),
        )
        return image

    def by_manifest(self, manifest: Digest) -> StoredImage | None:
        """An image by the digest of its manifest."""
        return self._first("manifest = ?", str(manifest))

    def find(self, text: str, platform: Platform | None = None) -> StoredImage | None:
        """An image by name, or by the beginning of its id or digest; None if there is none.

        Without a platform any image of a name will do. A beginning that fits several is an `ImageError`.
        """
        try:
            name: str | None = str(parse_reference(text))
        except UsageError:
            name = None
        if name is not None:
            wanted = "" if platform is None else " AND platform = ?"
            values = [name] if platform is None else [name, str(platform.normalised())]
            row = self._database.one(f"SELECT manifest FROM names WHERE name = ?{wanted} LIMIT 1", values)
            if row is not None:
                return self._first("manifest = ?", str(row[0]))
        return self._by_id(text)

    def _by_id(self, text: str) -> StoredImage | None:
        start = text.removeprefix("sha256:")
        if len(start) < _SHORTEST_ID or not set(start) <= set("0123456789abcdef"):
            return None
        pattern = f"sha256:{start}%"
        rows = self._database.all(
            "SELECT DISTINCT manifest FROM images WHERE config LIKE ? OR manifest LIKE ? LIMIT 3",
            (pattern, pattern),
        )
        if len(rows) > 1:
            found = ", ".join(str(row[0])[7:19] for row in rows)
            raise ImageError(f'several images begin with "{text}": {found}', hint="give more digits")
        return self._first("manifest = ?", str(rows[0][0])) if rows else None

    def _first(self, condition: str, value: str) -> StoredImage | None:
        row = self._database.one(f"SELECT {_COLUMNS} FROM images WHERE {condition}", (value,))
        return None if row is None else self._image(row)

    def _image(self, row: tuple[object, ...]) -> StoredImage | None:
        """A row as an image; None for one that nobody of this program wrote."""
        manifest, config, state, platform, created, size, media_type = row
        names = self._database.all("SELECT name FROM names WHERE manifest = ? ORDER BY name", (manifest,))
        try:
            digests = parse_digest(str(manifest)), parse_digest(str(config))
        except ImageError:
            return None
        if not isinstance(state, bytes) or str(platform).count("/") not in (1, 2):
            return None
        return StoredImage(
            *digests,
            state,
            str(platform),
            number(created),
            whole(size),
            str(media_type),
            tuple(str(name[0]) for name in names if _is_reference(str(name[0]))),
        )

    def all(self) -> list[StoredImage]:
        """All images, the newest first."""
        rows = self._database.all(f"SELECT {_COLUMNS} FROM images ORDER BY created DESC, manifest")
        return [image for image in map(self._image, rows) if image is not None]

    def tag(self, image: StoredImage, name: str) -> str:
        """Give an image one more name, taking it from another image if need be; the complete name."""
        full = str(parse_reference(name))
        row = self._database.one(
            "SELECT manifest FROM names WHERE name = ? AND platform = ?", (full, image.platform)
        )
        if row is None or row[0] != str(image.manifest):
            self._database.run(
                "INSERT OR REPLACE INTO names (name, platform, manifest) VALUES (?,?,?)",
                (full, image.platform, str(image.manifest)),
            )
            self.write_index()
        return full

    def remove(self, text: str) -> tuple[str, ...]:
        """Take a name away, or by id the image with all its names; what was removed.

        Blobs and snapshots stay: other images may share them.
        """
        image = self.find(text)
        if image is None:
            raise ImageError(f'the store has no image "{text}"', hint="pybuild images lists what is there")
        try:
            name = str(parse_reference(text))
        except UsageError:
            name = ""
        names = (name,) if name in image.names else image.names
        with self._database.transaction():
            for gone in names:
                self._database.run(
                    "DELETE FROM names WHERE name = ? AND manifest = ?", (gone, str(image.manifest))
                )
            if set(names) == set(image.names):
                self._database.run("DELETE FROM images WHERE manifest = ?", (str(image.manifest),))
                names = (*names, str(image.config))
        self.write_index()
        return names

    def write_index(self) -> None:
        """Write `index.json` from the names: atomically, one process at a time; not that of a store that is only looked at."""
        if self._database.reading:
            return
        with locked(self._fd, "index"):
            rows = self._database.all(
                "SELECT n.name, i.manifest, i.media_type, i.platform FROM names n "
                "JOIN images i ON i.manifest = n.manifest ORDER BY n.name, i.platform"
            )
            made = (self._entry(*(str(value) for value in row)) for row in rows)
            entries = [entry for entry in made if entry is not None]
            document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
            data = json.dumps({**document, "manifests": entries}, indent=1).encode()
            name = f".index.{os.getpid()}"
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644, dir_fd=self._fd)
            with open(fd, "wb") as stream:
                stream.write(data)
            os.rename(name, "index.json", src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def _entry(self, name: str, manifest: str, media_type: str, platform: str) -> dict[str, object] | None:
        """An image's entry in the index; None for one whose manifest is not there any more."""
        try:
            size = self._blobs.size(parse_digest(manifest))
            familiar = parse_reference(name).familiar
        except (ImageError, UsageError):
            return None
        system, machine, *variant = platform.split("/")
        place = {"os": system, "architecture": machine, **({"variant": variant[0]} if variant else {})}
        return {
            "mediaType": media_type,
            "digest": manifest,
            "size": size,
            "platform": place,
            "annotations": {_REF_NAME: familiar, FULL_NAME: name},
        }


def _is_reference(name: str) -> bool:
    try:
        parse_reference(name)
    except UsageError:
        return False
    return True
