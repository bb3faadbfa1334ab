"""Archives of images: `docker save`'s form, which carries an OCI layout too, and OCI's alone."""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from builder.digest import Digest, digest_of, parse_digest
from builder.errors import ImageError
from builder.image.compression import CHUNK, decompress
from builder.image.config import parse_document
from builder.image.manifest import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    parse_manifest,
    render_manifest,
)
from builder.image.platform import Platform, parse_platform
from builder.image.reference import parse_reference
from builder.store.images import StoredImage
from builder.store.importing import import_image
from builder.store.store import Store
from builder.value import replace

_REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"
_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
_DOCUMENT_LIMIT = 16 << 20
_MOST_MEMBERS = 100_000
# Bytes that the kernel copies before anybody can say stop.
_AT_ONCE = 64 << 20

Named = tuple[StoredImage, tuple[str, ...]]

# --- writing ---------------------------------------------------------------------------------------


def _index(store: Store, images: Sequence[Named]) -> bytes:
    entries: list[Descriptor] = []
    for image, names in images:
        descriptor = Descriptor(
            image.media_type,
            image.manifest,
            store.blobs.size(image.manifest),
            platform=parse_platform(image.platform),
        )
        full = [str(parse_reference(name)) for name in names]
        annotations: list[tuple[tuple[str, str], ...]] = [
            ((_REF_NAME, parse_reference(name).tag or ""), (_FULL_NAME, name)) for name in full
        ]
        entries += [replace(descriptor, annotations=pairs) for pairs in annotations or [()]]
    return render_manifest(Index(tuple(entries)))


def _blobs(store: Store, images: Sequence[Named]) -> list[Digest]:
    found = {image.manifest for image, _ in images}
    for image, _ in images:
        manifest = store.manifest_of(image)
        found.update({manifest.config.digest, *(layer.digest for layer in manifest.layers)})
    return sorted(found, key=str)


def _docker_manifest(store: Store, images: Sequence[Named]) -> bytes:
    """`manifest.json`, which is all that older tools look for."""
    entries = []
    for image, names in images:
        manifest = store.manifest_of(image)
        entries.append(
            {
                "Config": f"blobs/sha256/{manifest.config.digest.hex}",
                "RepoTags": [parse_reference(name).familiar for name in names] or None,
                "Layers": [f"blobs/sha256/{layer.digest.hex}" for layer in manifest.layers],
            }
        )
    return json.dumps(entries).encode()


def _go_on() -> None:
    pass


def save_archive(
    store: Store, images: Sequence[Named], out: BinaryIO, *, form: str, check: Callable[[], None] = _go_on
) -> None:
    """Write images with their names as a tar; `form` is `oci` or `docker`. The same images give the same bytes.

    `check` is called again and again, and ends it by raising an error.
    """
    written = 0

    def begin(name: str, size: int) -> None:
        nonlocal written
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o644
        header = info.tobuf(tarfile.PAX_FORMAT)  # the ustar form, unless a size is too large for that
        out.write(header)
        written += len(header) + size

    def end() -> None:
        nonlocal written
        padding = -written % tarfile.BLOCKSIZE
        out.write(bytes(padding))
        written += padding

    def add_bytes(name: str, data: bytes) -> None:
        begin(name, len(data))
        out.write(data)
        end()

    for digest in _blobs(store, images):
        with store.blobs.open(digest) as stream:
            size = os.fstat(stream.fileno()).st_size
            begin(f"blobs/sha256/{digest.hex}", size)
            _copy_blob(stream, out, size, digest, check)
            end()
    add_bytes("index.json", _index(store, images))
    if form == "docker":
        add_bytes("manifest.json", _docker_manifest(store, images))
    add_bytes("oci-layout", _LAYOUT)
    out.write(bytes(2 * tarfile.BLOCKSIZE + -(written + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE))


def _copy_blob(source: BinaryIO, out: BinaryIO, size: int, digest: Digest, check: Callable[[], None]) -> None:
    """Copy a blob, within the kernel where both are files."""
    left = size
    try:
        out.flush()
        while left and (count := os.copy_file_range(source.fileno(), out.fileno(), min(left, _AT_ONCE))):
            left -= count
            check()
    except OSError:  # a pipe, another file system, an old kernel, or no file at all
        pass
    while left and (chunk := os.read(source.fileno(), min(left, CHUNK))):
        out.write(chunk)
        left -= len(chunk)
        check()
    if left:
        raise ImageError(f"the blob {digest} in the store is cut short", hint="build again with --no-cache")


def write_layout(
    store: Store,
    image: StoredImage,
    dest: str,
    *,
    names: tuple[str, ...] = (),
    check: Callable[[], None] = _go_on,
) -> None:
    """Write an image as a layout folder; blobs that are there are not written again. `check` is that of `save_archive`."""
    folder = os.path.join(dest, "blobs", "sha256")
    os.makedirs(folder, exist_ok=True)
    for digest in _blobs(store, [(image, names)]):
        path = os.path.join(folder, digest.hex)
        with store.blobs.open(digest) as stream:
            size = os.fstat(stream.fileno()).st_size
            if os.path.exists(path) and os.path.getsize(path) == size:
                continue
            with _appearing(path) as copy:
                _copy_blob(stream, copy, size, digest, check)
    for name, data in (("oci-layout", _LAYOUT), ("index.json", _index(store, [(image, names)]))):
        with _appearing(os.path.join(dest, name)) as copy:
            copy.write(data)


@contextmanager
def _appearing(path: str) -> Iterator[BinaryIO]:
    """A file to write that is there when it is whole, and not at all if the block fails."""
    try:
        with open(f"{path}.tmp", "wb") as stream:
            yield stream
        os.replace(f"{path}.tmp", path)
    except BaseException:
        with suppress(OSError):
            os.unlink(f"{path}.tmp")
        raise


# --- reading ---------------------------------------------------------------------------------------


class _ArchiveSource:
    """One image of an archive; `redirect` maps digests of layers to the members that hold them."""

    def __init__(
        self, members: _Members, descriptor: Descriptor, document: bytes, redirect: dict[str, str]
    ) -> None:
        self._members, self._descriptor, self._document = members, descriptor, document
        self._redirect = redirect

    def manifest(self) -> tuple[Descriptor, bytes]:
        return self._descriptor, self._document

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        digest = descriptor.digest
        yield from self._members.chunks(
            self._redirect.get(str(digest), f"blobs/{digest.algorithm}/{digest.hex}")
        )


class _Members:
    """The members of an archive by name, read in any order and from several threads."""

    def __init__(self, stream: BinaryIO, what: str) -> None:
        self.what = what
        self._fd = stream.fileno()
        self._places: dict[str, tuple[int, int]] = {}
        links: dict[str, str] = {}
        try:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                for count, member in enumerate(tar):
                    if count >= _MOST_MEMBERS:
                        raise ImageError(f"{what} has more than {_MOST_MEMBERS} members")
                    name = member.name.removeprefix("./")
                    if member.isreg():
                        self._places[name] = (member.offset_data, member.size)
                    elif member.issym() or member.islnk():
                        folder = os.path.dirname(name) if member.issym() else ""
                        links[name] = os.path.normpath(os.path.join(folder, member.linkname))
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise ImageError(f"{what} is no archive of images: {error}") from None
        for name, target in links.items():  # older `docker save` links equal layers
            if target in self._places:
                self._places.setdefault(name, self._places[target])
        self._size = os.fstat(self._fd).st_size

    def has(self, name: str) -> bool:
        return name in self._places

    def chunks(self, name: str) -> Iterator[bytes]:
        if name not in self._places:
            raise ImageError(f"{self.what} lacks {name}")
        at, left = self._places[name]
        while left:
            chunk = os.pread(self._fd, min(CHUNK, left), at)
            if not chunk:
                raise ImageError(f"{self.what} is cut short in {name}")
            yield chunk
            at, left = at + len(chunk), left - len(chunk)

    def size(self, name: str) -> int:
        return self._places[name][1] if name in self._places else 0

    def document(self, name: str) -> bytes:
        if self.size(name) > _DOCUMENT_LIMIT:
            raise ImageError(f"{name} of {self.what} is larger than {_DOCUMENT_LIMIT} bytes")
        return b"".join(self.chunks(name))


def load_archive(store: Store, stream: BinaryIO, *, what: str, platform: Platform) -> list[StoredImage]:
    """Bring all images of an archive into the store, with the names they have in it.

    Takes OCI and `docker save` archives, compressed or not, from a file or a pipe. An `ImageError` says what is wrong.
    """
    with tempfile.TemporaryFile(dir=store.path) as plain:
        for chunk in decompress(iter(lambda: stream.read(CHUNK), b""), what=what):
            plain.write(chunk)
        plain.seek(0)
        members = _Members(plain, what)
        if members.has("index.json"):
            found = list(_oci_images(members))
        elif members.has("manifest.json"):
            found = list(_docker_images(members))
        else:
            raise ImageError(f"{what} is no archive of images: it has neither index.json nor manifest.json")
        if not found:
            raise ImageError(f"{what} has no image")
        loaded = []
        for source, names in found:
            image = import_image(store, source, platform=platform)
            for name in names:
                store.images.tag(image, name)
            loaded.append(store.images.by_manifest(image.manifest) or image)
        return loaded


def _oci_images(members: _Members) -> Iterator[tuple[_ArchiveSource, list[str]]]:
    index = parse_manifest(members.document("index.json"))
    if not isinstance(index, Index):
        raise ImageError(f"the index of {members.what} is none")
    tags = _docker_tags(members)
    seen: dict[Digest, list[str]] = {}
    entries: dict[Digest, Descriptor] = {}
    for entry in index.manifests:
        if entry.is_attestation:
            continue
        annotations = dict(entry.annotations)
        full = annotations.get(_FULL_NAME) or annotations.get(_REF_NAME, "")
        is_name = _FULL_NAME in annotations or "/" in full or ":" in full
        seen.setdefault(entry.digest, []).extend([full] if full and is_name else [])
        entries[entry.digest] = entry
    for digest, found in seen.items():
        name = f"blobs/{digest.algorithm}/{digest.hex}"
        document = members.document(name)
        names = found or tags.get(_config_of(document), [])
        yield _ArchiveSource(members, entries[digest], document, {}), names


def _config_of(document: bytes) -> str:
    parsed = parse_manifest(document)
    return parsed.config.digest.hex if isinstance(parsed, Manifest) else ""


def _docker_tags(members: _Members) -> dict[str, list[str]]:
    """The names in `manifest.json`, by the digest of the config: some writers give none in the index."""
    if not members.has("manifest.json"):
        return {}
    found = {}
    for entry in _docker_entries(members):
        config = os.path.basename(str(entry.get("Config", ""))).removesuffix(".json")
        found[config] = [str(name) for name in entry.get("RepoTags") or []]
    return found


def _docker_entries(members: _Members) -> list[dict[str, Any]]:
    try:
        entries = json.loads(members.document("manifest.json"))
    except ValueError as error:
        raise ImageError(f"manifest.json of {members.what} is no JSON: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ImageError(f"manifest.json of {members.what} is no list of images")
    return entries


def _docker_images(members: _Members) -> Iterator[tuple[_ArchiveSource, list[str]]]:
    """Images of an older `docker save`: a manifest is made for them. Their layers are plain tars, as the diff ids say."""
    for entry in _docker_entries(members):
        config = members.document(str(entry.get("Config", "")))
        diff_ids = parse_document(config).diff_ids
        names = [str(name) for name in entry.get("Layers") or []]
        if len(names) != len(diff_ids):
            raise ImageError(
                f"an image of {members.what} has {len(names)} layers, its config {len(diff_ids)}"
            )
        layers, redirect = [], {str(digest_of(config)): str(entry["Config"])}
        for name, diff_id in zip(names, diff_ids, strict=True):
            layer = _docker_layer(members, name, diff_id)
            redirect[str(layer.digest)] = name
            layers.append(layer)
        manifest = Manifest(Descriptor(OCI_CONFIG, digest_of(config), len(config)), tuple(layers))
        document = render_manifest(manifest)
        descriptor = Descriptor(OCI_MANIFEST, digest_of(document), len(document))
        tags = [str(tag) for tag in entry.get("RepoTags") or []]
        yield _ArchiveSource(members, descriptor, document, redirect), tags


def _docker_layer(members: _Members, name: str, diff_id: Digest) -> Descriptor:
    start = next(members.chunks(name), b"")
    if not start.startswith(b"\x1f\x8b"):
        return Descriptor(OCI_LAYER, diff_id, members.size(name))
    import hashlib

    digest = hashlib.sha256()
    for chunk in members.chunks(name):
        digest.update(chunk)
    return Descriptor(OCI_LAYER_GZIP, parse_digest(f"sha256:{digest.hexdigest()}"), members.size(name))
