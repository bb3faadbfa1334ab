"""Comparing images byte for byte, and telling in words where they differ."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import zstandard


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


def _tar(blob: bytes) -> bytes:
    if blob.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(blob)
    return gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob


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
        tars = [_tar(blob) for blob in blobs]
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


def _views(store: Path, digest: str) -> list[dict[str, Any]]:
    """All that is in an image after each layer that changes anything but times."""
    views: list[dict[str, Any]] = [{}]
    for layer in json.loads(_blob(store, digest))["layers"]:
        entries = _entries(_tar(_blob(store, layer["digest"])))
        view = dict(views[-1])
        for name in entries:
            folder, _, last = name.rpartition("/")
            opaque = last == ".wh..wh..opq"
            if not last.startswith(".wh."):
                continue
            gone = folder if opaque else f"{folder}/{last.removeprefix('.wh.')}".lstrip("/")
            for path in [
                path for path in view if path.startswith(f"{gone}/") or (path == gone and not opaque)
            ]:
                del view[path]
        for name, entry in entries.items():
            if name.rpartition("/")[2].startswith(".wh."):
                continue
            if entry[0] != tarfile.DIRTYPE:
                for path in [path for path in view if path.startswith(f"{name}/")]:
                    del view[path]
            # A link stands for the file that it leads to.
            view[name] = view[entry[6]] if entry[0] == tarfile.LNKTYPE else (*entry[:5], *entry[6:])
        if view != views[-1]:
            views.append(view)
    return views


def same_but_for_times(one: Path, one_digest: str, other: Path, other_digest: str) -> bool:
    """Whether two images whose files have one time differ in nothing but layers, or entries of them, that changed times only.

    A file copied onto one that differs from it in nothing but its time is a change. A hit may have files with older times, as
    times are in no key, so that what a step copies onto them is a change then and else is none.
    """
    if not one_digest or not other_digest:
        return False
    configs = []
    for store, digest in ((one, one_digest), (other, other_digest)):
        config = json.loads(_blob(store, json.loads(_blob(store, digest))["config"]["digest"]))
        del config["rootfs"]
        for line in config["history"]:
            line.pop("empty_layer", None)
        configs.append(config)
    return configs[0] == configs[1] and _views(one, one_digest) == _views(other, other_digest)
