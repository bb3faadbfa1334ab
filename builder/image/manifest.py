"""Descriptors, manifests and indexes (OCI image spec; Docker's schema 2 is read as the same)."""

from __future__ import annotations

from collections.abc import Mapping

from builder.digest import Digest, digest_of, parse_digest
from builder.errors import ImageError
from builder.image.fields import Fields, load_object, render_json
from builder.image.platform import Platform, compatible
from builder.value import dataclass, field, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
ATTESTATION = "vnd.docker.reference.type"
"""An annotation of index entries that are no images but statements about one."""
MAX_ENTRIES = 10_000
"""Layers of a manifest or entries of an index; a kernel mounts some hundred at most."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob is, how long in bytes, and its digest (descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    artifact_type: str = ""

    @property
    def is_attestation(self) -> bool:
        """Whether an index lists it beside its images, and not as one."""
        unknown = self.platform is not None and self.platform.os == self.platform.architecture == "unknown"
        return unknown or any(name == ATTESTATION for name, _ in self.annotations)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its config and its layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = OCI_MANIFEST
    annotations: tuple[tuple[str, str], ...] = ()
    artifact_type: str = ""
    subject: Descriptor | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Index:
    """Several images under one name, one for each platform."""

    manifests: tuple[Descriptor, ...]
    media_type: str = OCI_INDEX
    annotations: tuple[tuple[str, str], ...] = ()
    artifact_type: str = ""
    subject: Descriptor | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)


_MANIFEST_FIELDS = frozenset(
    {"schemaVersion", "mediaType", "config", "layers", "annotations", "artifactType", "subject"}
)
_INDEX_FIELDS = frozenset(
    {"schemaVersion", "mediaType", "manifests", "annotations", "artifactType", "subject"}
)


def parse_manifest(document: bytes) -> Manifest | Index:
    """Read a manifest or an index, whichever it is; an `ImageError` says what is wrong.

    A document that names both layers and manifests is refused: two readers could take it for two images
    (CVE-2021-41190).
    """
    fields = Fields(load_object(document, "image manifest"), "image manifest")
    if fields.number("schemaVersion") == 1:
        raise ImageError(
            "the image has a Docker schema 1 manifest, a form given up in 2019",
            hint="push the image again with a current tool",
        )
    media_type = fields.text("mediaType")
    holds = {name for name in ("config", "layers", "manifests") if fields.values.get(name) is not None}
    is_index = media_type in INDEX_TYPES or (not media_type and "manifests" in holds)
    if is_index:
        if holds - {"manifests"}:
            raise ImageError("image manifest: it holds manifests and layers at once")
        return Index(
            _descriptors(fields, "manifests"),
            media_type or OCI_INDEX,
            fields.pairs("annotations"),
            fields.text("artifactType"),
            _optional(fields, "subject"),
            fields.others(_INDEX_FIELDS),
        )
    if media_type and media_type not in MANIFEST_TYPES:
        raise ImageError(f"image manifest: unknown media type {media_type[:100]!r}")
    if "manifests" in holds:
        raise ImageError("image manifest: it holds manifests and layers at once")
    if "config" not in holds:
        raise ImageError("image manifest: field config is missing")
    return Manifest(
        _descriptor(fields.inner("config")),
        _descriptors(fields, "layers"),
        media_type or OCI_MANIFEST,
        fields.pairs("annotations"),
        fields.text("artifactType"),
        _optional(fields, "subject"),
        fields.others(_MANIFEST_FIELDS),
    )


def render_manifest(manifest: Manifest | Index) -> bytes:
    """Write a manifest or an index as canonical JSON."""
    value: dict[str, Any] = {
        "annotations": dict(manifest.annotations),
        "artifactType": manifest.artifact_type,
        "subject": manifest.subject and _descriptor_object(manifest.subject),
    }
    value = {name: item for name, item in value.items() if item}
    value["schemaVersion"] = 2
    value["mediaType"] = manifest.media_type
    if isinstance(manifest, Index):
        value["manifests"] = [_descriptor_object(item) for item in manifest.manifests]
    else:
        value["config"] = _descriptor_object(manifest.config)
        value["layers"] = [_descriptor_object(item) for item in manifest.layers]
    return render_json({**manifest.unknown, **value})


def describe(data: bytes, media_type: str) -> Descriptor:
    """The descriptor of some bytes."""
    return Descriptor(media_type, digest_of(data), len(data))


def choose_platform(index: Index, wanted: Platform) -> Descriptor | None:
    """The entry that runs best on `wanted`, None if there is none. Attestations are never chosen.

    An entry without a platform is taken last, since nothing says that it does not fit.
    """
    images = [item for item in index.manifests if not item.is_attestation]
    for candidate in compatible(wanted):
        for item in images:
            if item.platform is not None and _fits(item.platform.normalised(), candidate):
                return item
    return next((item for item in images if item.platform is None), None)


def offered_platforms(index: Index) -> tuple[str, ...]:
    """The platforms of an index, for messages."""
    return tuple(
        str(item.platform.normalised())
        for item in index.manifests
        if item.platform and not item.is_attestation
    )


def _fits(offered: Platform, wanted: Platform) -> bool:
    """A version of the operating system decides only where it was asked for."""
    if not wanted.os_version:
        offered = replace(offered, os_version="")
    return offered == wanted


def _descriptors(fields: Fields, name: str) -> tuple[Descriptor, ...]:
    items = fields.items(name)
    if len(items) > MAX_ENTRIES:
        raise ImageError(f"{fields.what}: field {fields.path}{name} has more than {MAX_ENTRIES} entries")
    return tuple(_descriptor(item) for item in items)


def _optional(fields: Fields, name: str) -> Descriptor | None:
    return None if fields.values.get(name) is None else _descriptor(fields.inner(name))


def _descriptor(fields: Fields) -> Descriptor:
    size = fields.number("size")
    if not 0 <= size < 1 << 63:
        raise ImageError(f"{fields.what}: field {fields.path}size is {size}")
    try:
        digest = parse_digest(fields.text("digest"))
    except ImageError as error:
        raise ImageError(f"{fields.what}: field {fields.path}digest: {error.message}") from None
    platform = None
    if fields.values.get("platform") is not None:
        place = fields.inner("platform")
        platform = Platform(
            place.text("os"), place.text("architecture"), place.text("variant"), place.text("os.version")
        )
    return Descriptor(
        fields.text("mediaType"),
        digest,
        size,
        fields.pairs("annotations"),
        platform,
        fields.texts("urls") or (),
        fields.text("artifactType"),
    )


def _descriptor_object(item: Descriptor) -> dict[str, Any]:
    value: dict[str, Any] = {
        "annotations": dict(item.annotations),
        "urls": list(item.urls),
        "artifactType": item.artifact_type,
    }
    if item.platform is not None:
        place = {
            "variant": item.platform.variant,
            "os.version": item.platform.os_version,
        }
        value["platform"] = {
            "os": item.platform.os,
            "architecture": item.platform.architecture,
            **{name: text for name, text in place.items() if text},
        }
    value = {name: part for name, part in value.items() if part}
    return {**value, "mediaType": item.media_type, "digest": str(item.digest), "size": item.size}
