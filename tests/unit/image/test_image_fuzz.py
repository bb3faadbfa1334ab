"""Documents from outside are taken or refused, never stumbled over."""

import json

from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError
from builder.image.config import parse_document, render_config
from builder.image.manifest import OCI_INDEX, OCI_MANIFEST, parse_manifest, render_manifest

DIGEST = "sha256:" + "0" * 64
KEYS = st.sampled_from(
    [
        *("config", "layers", "manifests", "mediaType", "schemaVersion", "digest", "size", "platform", "os"),
        *("Env", "Cmd", "Labels", "Volumes", "Healthcheck", "Test", "rootfs", "diff_ids", "history", "urls"),
        *("annotations", "created", "architecture", "empty_layer", "Retries", "ExposedPorts", "subject"),
    ]
)
LEAVES = st.sampled_from([None, True, 0, 2, -1, 1.5, "", "x", "A=b", DIGEST, OCI_INDEX, OCI_MANIFEST])
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=6,
)


@given(DOCUMENTS)
def test_manifests(document):
    try:
        found = parse_manifest(json.dumps(document).encode())
    except ImageError:
        return
    assert parse_manifest(render_manifest(found)) == found


@given(DOCUMENTS)
def test_configs(document):
    try:
        found = parse_document(json.dumps(document).encode())
    except ImageError:
        return
    written = render_config(
        found.config, created=found.created, history=found.history, diff_ids=found.diff_ids
    )
    assert parse_document(written) == found


@given(st.binary(max_size=40))
def test_bytes(data):
    for parse in (parse_manifest, parse_document):
        try:
            parse(data)
        except ImageError:
            pass
