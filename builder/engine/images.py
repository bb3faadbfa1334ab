"""Images of the store, for commands: pull, push, load, save, list, inspect, history, tag, remove."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from builder.errors import ImageError, UsageError
from builder.image.config import parse_document
from builder.image.manifest import Descriptor
from builder.image.platform import Platform, host_platform
from builder.image.reference import parse_reference
from builder.store.images import StoredImage
from builder.store.store import Store

if TYPE_CHECKING:
    from builder.registry.client import Client
    from builder.registry.push import PushResult
    from builder.store.importing import ImageSource

Progress = Callable[[str, int, int], None]


def require_image(store: Store, name: str) -> StoredImage:
    """The image of a name or id; an `ImageError` if the store has none."""
    image = store.find_image(name)
    if image is None:
        raise ImageError(f'the store has no image "{name}"', hint="pybuild images lists what is there")
    return image


def _client(
    name: str, docker_config: str | None, auth_config: str | None, cancelled: threading.Event | None = None
) -> Client:
    # Late: HTTP is for those who need it.
    from builder.registry.auth import find_credentials
    from builder.registry.client import Client

    reference = parse_reference(name)
    credentials = find_credentials(reference.registry, docker_config, auth_config)
    sleep: Callable[[float], object] = time.sleep if cancelled is None else cancelled.wait
    return Client(reference, credentials, sleep=sleep)


def pull_image(
    store: Store,
    name: str,
    *,
    platform: Platform | None = None,
    docker_config: str | None = None,
    auth_config: str | None = None,
    on_progress: Progress | None = None,
    cancelled: threading.Event | None = None,
) -> StoredImage:
    """Fetch an image by its name; layers that the store has are not fetched. It gets the name in the store. Setting `cancelled`
    ends it with `Cancelled`.
    """
    from builder.registry.breaking import broken_off_by
    from builder.registry.pull import RegistrySource
    from builder.store.importing import import_image

    client = _client(name, docker_config, auth_config, cancelled)
    try:
        with broken_off_by(cancelled, client):
            image = import_image(
                store, RegistrySource(client), platform=platform or host_platform(), on_progress=on_progress
            )
    finally:
        client.close()
    store.images.tag(image, name)
    return store.images.by_manifest(image.manifest) or image


def promise_image(
    store: Store,
    name: str,
    *,
    platform: Platform,
    docker_config: str | None = None,
    auth_config: str | None = None,
    cancelled: threading.Event | None = None,
) -> tuple[StoredImage, Client, ImageSource]:
    """The image of a name without layers that the store lacks: those are promised, and come from the source that goes with
    it. The caller closes the client. Only an image that is all here gets the name in the store. Setting `cancelled` ends it.
    """
    from builder.registry.breaking import broken_off_by
    from builder.registry.pull import RegistrySource
    from builder.store.importing import import_image

    client = _client(name, docker_config, auth_config, cancelled)
    source = RegistrySource(client)
    try:
        with broken_off_by(cancelled, client):
            image = import_image(store, source, platform=platform, lazy=True)
    except BaseException:
        client.close()
        raise
    if store.images.by_manifest(image.manifest) is not None:
        store.images.tag(image, name)
    return image, client, source


def push_image(
    store: Store,
    image: StoredImage,
    name: str,
    *,
    docker_config: str | None = None,
    auth_config: str | None = None,
    on_progress: Progress | None = None,
    cancelled: threading.Event | None = None,
) -> PushResult:
    """Send an image by a name: only the blobs that the registry lacks. Setting `cancelled` ends it with `Cancelled`."""
    from builder.registry import push
    from builder.registry.breaking import broken_off_by

    manifest = store.manifest_of(image)
    document = store.read_blob(image.manifest)
    client = _client(name, docker_config, auth_config, cancelled)
    blobs = [(blob, _opener(store, image, blob)) for blob in (manifest.config, *manifest.layers)]
    try:
        with broken_off_by(cancelled, client):
            return push.push_image(
                client,
                document,
                Descriptor(manifest.media_type, image.manifest, len(document)),
                blobs,
                mount_from=_mounts(store, image, client),
                on_progress=on_progress,
            )
    finally:
        client.close()


def _opener(store: Store, image: StoredImage, blob: Descriptor) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        if not store.proofs.sound(blob.digest):
            if store.supplier is not None:
                # A layer that a remote cache promised, and that the registry lacks after all.
                from builder.store.arrival import need_blob

                need_blob(store, blob)
            else:
                from builder.engine.repair import repair

                repair(store, image)
        return store.blobs.open(blob.digest)

    return opened


def _mounts(store: Store, image: StoredImage, client: Client) -> dict[Any, list[str]]:
    """Other repositories of the same registry, by the layers that images of this store with such names share."""
    found: dict[Any, list[str]] = {}
    wanted = {layer.digest for layer in store.manifest_of(image).layers}
    for other in store.images.all():
        for name in other.names:
            reference = parse_reference(name)
            if (
                reference.registry != client.reference.registry
                or reference.repository == client.reference.repository
            ):
                continue
            for layer in store.manifest_of(other).layers:
                if layer.digest in wanted:
                    found.setdefault(layer.digest, []).append(reference.repository)
    supplier = store.supplier
    for digest in wanted if supplier is not None else ():
        assert supplier is not None
        for registry, repository in supplier.repositories(digest):
            if registry == client.reference.registry and repository != client.reference.repository:
                found.setdefault(digest, []).insert(0, repository)
    return found


def load_images(store: Store, stream: BinaryIO, *, what: str) -> list[StoredImage]:
    """Bring the images of an archive into the store."""
    from builder.store.archives import load_archive

    return load_archive(store, stream, what=what, platform=host_platform())


def save_images(store: Store, names: Sequence[str], out: BinaryIO, *, form: str) -> None:
    """Write images to an archive, `docker` or `oci`."""
    from builder.engine.repair import repair
    from builder.store.archives import save_archive

    chosen: dict[Any, tuple[StoredImage, list[str]]] = {}
    for name in names:
        image = require_image(store, name)
        repair(store, image)
        entry = chosen.setdefault(image.manifest, (image, []))
        try:
            full = str(parse_reference(name))
        except UsageError:  # an id
            full = ""
        if full in image.names:
            entry[1].append(full)
    save_archive(store, [(image, tuple(found)) for image, found in chosen.values()], out, form=form)


def inspect_image(store: Store, name: str) -> dict[str, Any]:
    """What `pybuild inspect` shows: names, digests, the config's settings and the layers."""
    import json

    image = require_image(store, name)
    raw = json.loads(store.read_blob(image.config))
    manifest = store.manifest_of(image)
    document = parse_document(store.read_blob(image.config))
    return {
        "Id": str(image.config),
        "Digest": str(image.manifest),
        "RepoTags": [parse_reference(text).familiar for text in image.names],
        "Created": document.created,
        "Architecture": raw.get("architecture", ""),
        "Os": raw.get("os", ""),
        "Author": raw.get("author", ""),
        "Size": image.size,
        "Config": raw.get("config") or {},
        "Layers": [
            {
                "digest": str(layer.digest),
                "diff_id": str(diff_id),
                "size": layer.size,
                "mediaType": layer.media_type,
            }
            for layer, diff_id in zip(manifest.layers, document.diff_ids, strict=True)
        ],
    }


def image_history(store: Store, name: str) -> list[dict[str, Any]]:
    """The lines of an image's history, the newest first, each with the size of its layer."""
    image = require_image(store, name)
    document = parse_document(store.read_blob(image.config))
    sizes = [layer.size for layer in store.manifest_of(image).layers]
    lines = []
    for entry in document.history:
        size = 0 if entry.empty_layer or not sizes else sizes.pop(0)
        lines.append(
            {"created": entry.created, "created_by": entry.created_by, "size": size, "comment": entry.comment}
        )
    return lines[::-1]
