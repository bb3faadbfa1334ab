"""Comparing images byte for byte, and telling in words where they differ."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any


def _blob(store: Path, digest: str) -> bytes:
    return (store / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def _entries(data: bytes) -> dict[str, Any]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for entry in tar:
            stream = tar.extractfile(entry) if entry.isfile() else None
            text = hashlib.sha256(stream.read()).hexdigest()[:12] if stream else ""
            found[entry.name] = (
                entry.type, oct(entry.mode), entry.uid, entry.gid, entry.size, entry.mtime, entry.linkname,
                entry.pax_headers, text,
            )  # fmt: skip
    return found


def difference(one: Path, one_digest: str, other: Path, other_digest: str) -> str:
    """What differs between two images, each in its store and by its manifest's digest; empty if nothing does."""
    if one_digest == other_digest:
        return ""
    manifests = [json.loads(_blob(one, one_digest)), json.loads(_blob(other, other_digest))]
    layers = [manifest["layers"] for manifest in manifests]
    if len(layers[0]) != len(layers[1]):
        return f"{len(layers[0])} and {len(layers[1])} layers"
    lines = []
    for number, pair in enumerate(zip(*layers, strict=True)):
        blobs = [_blob(one, pair[0]["digest"]), _blob(other, pair[1]["digest"])]
        if blobs[0] == blobs[1]:
            continue
        tars = [gzip.decompress(blob) for blob in blobs]
        if tars[0] == tars[1]:
            lines.append(f"layer {number}: the same tar, compressed to other bytes")
            continue
        seen = [_entries(tar) for tar in tars]
        lines += [
            f"layer {number}: {name!r}: {seen[0].get(name)} and {seen[1].get(name)}"
            for name in sorted(seen[0].keys() | seen[1].keys(), key=repr)
            if seen[0].get(name) != seen[1].get(name)
        ]
    configs = [json.loads(_blob(store, manifest["config"]["digest"]))
               for store, manifest in zip((one, other), manifests, strict=True)]  # fmt: skip
    lines += [
        f"config {name}: {configs[0].get(name)} and {configs[1].get(name)}"
        for name in sorted(configs[0].keys() | configs[1].keys())
        if configs[0].get(name) != configs[1].get(name) and name != "rootfs"
    ]
    return "\n".join(lines) or "the same layers and config in other words"
