"""Manifests and indexes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import ImageError
from builder.image.manifest import (
    ATTESTATION,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    choose_platform,
    describe,
    offered_platforms,
    parse_manifest,
    render_manifest,
)
from builder.image.platform import Platform

A = Digest("sha256", "a" * 64)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
PAIRS = st.dictionaries(TEXT, TEXT, max_size=2).map(lambda pairs: tuple(sorted(pairs.items())))
DESCRIPTORS = st.builds(
    Descriptor,
    TEXT,
    st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda text: Digest("sha256", text)),
    st.integers(0, 1 << 40),
    PAIRS,
    st.none() | st.builds(Platform, TEXT, TEXT, TEXT, TEXT),
    st.lists(TEXT, max_size=2).map(tuple),
    TEXT,
)
SEVERAL = st.lists(DESCRIPTORS, max_size=3).map(tuple)
REST = (PAIRS, TEXT, st.none() | DESCRIPTORS)


@given(
    st.builds(Manifest, DESCRIPTORS, SEVERAL, st.sampled_from([OCI_MANIFEST, DOCKER_MANIFEST]), *REST)
    | st.builds(Index, SEVERAL, st.sampled_from([OCI_INDEX, DOCKER_INDEX]), *REST)
)
def test_what_is_written_is_read_back(manifest):
    assert parse_manifest(render_manifest(manifest)) == manifest


def entry(text, **more):
    system, machine, *variant = text.split("/")
    platform = {"os": system, "architecture": machine, "variant": (variant or [""])[0]}
    return {"mediaType": OCI_MANIFEST, "digest": str(A), "size": len(text), "platform": platform, **more}


def index(*entries):
    return parse_manifest(json.dumps({"schemaVersion": 2, "manifests": list(entries)}).encode())


def chosen(found, *wanted):
    descriptor = choose_platform(found, Platform(*wanted))
    return descriptor and str(descriptor.platform)


def test_the_platform_is_chosen_and_attestations_never_are():
    found = index(entry("unknown/unknown"), entry("linux/arm64"), entry("linux/amd64"))
    assert chosen(found, "linux", "amd64") == "linux/amd64"
    assert chosen(found, "unknown", "unknown") is None
    marked = index(entry("linux/amd64", annotations={ATTESTATION: "attestation-manifest"}))
    assert chosen(marked, "linux", "amd64") is None
    assert offered_platforms(found) == ("linux/arm64", "linux/amd64")


def test_spellings_and_older_variants_fit():
    found = index(entry("linux/arm/v6"), entry("linux/aarch64/v8"), entry("linux/386"))
    assert chosen(found, "linux", "arm64") == "linux/aarch64/v8"
    assert chosen(found, "linux", "arm", "v7") == "linux/arm/v6"
    assert chosen(found, "linux", "amd64") == "linux/386"
    assert chosen(found, "linux", "s390x") is None
    assert chosen(index(entry("linux/arm/v7")), "linux", "arm", "v6") is None


def test_an_entry_without_platform_is_taken_last():
    bare = entry("linux/x")
    del bare["platform"]
    found = index(bare, entry("linux/amd64"))
    assert chosen(found, "linux", "amd64") == "linux/amd64"
    assert choose_platform(found, Platform("linux", "s390x")).platform is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"schemaVersion": 1}, "schema 1"),
        ({}, "config is missing"),
        ({"mediaType": "text/html", "config": {}}, "text/html"),
        ({"config": {}, "layers": [], "manifests": []}, "at once"),
        ({"mediaType": OCI_INDEX, "manifests": [], "layers": []}, "at once"),
        ({"config": {"digest": "sha256:x", "size": 1}}, "config.digest"),
        ({"config": {"digest": str(A), "size": -1}}, "config.size"),
        ({"config": {"digest": str(A), "size": 1.5}}, "config.size"),
        ({"config": {"digest": str(A), "size": True}}, "config.size"),
        ({"config": {"digest": str(A), "size": 1}, "layers": {}}, "layers"),
        ({"config": {"digest": str(A), "size": 1}, "layers": [{}] * 10_001}, "entries"),
        ({"manifests": ["x"]}, "manifests[0]"),
    ],
)
def test_damaged_manifests_are_errors(document, message):
    with pytest.raises(ImageError) as caught:
        parse_manifest(json.dumps(document).encode())
    assert message in caught.value.message


def test_describe():
    found = describe(b"{}", OCI_MANIFEST)
    assert (found.size, found.digest.short) == (2, "44136fa355b3")
