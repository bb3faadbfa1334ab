"""What an image takes over from its base and what not, and how its documents belong together."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import builder
from builder.engine.request import Output

EPOCH = 1_500_000_000  # before the time of the base
TEXT = """\
FROM odd
USER root
LABEL own=1
RUN true
RUN echo text > /f
ONBUILD RUN never
"""


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Layout:
    """An OCI layout with one image, read and changed as the documents that it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = json.loads((folder / "index.json").read_text())
        (self.entry,) = self.index["manifests"]
        self.manifest = self.document(self.entry)
        self.config = self.document(self.manifest["config"])

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        return (self.folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()

    def document(self, descriptor: dict[str, Any]) -> Any:
        return json.loads(self.blob(descriptor))

    def put(self, document: Any, old: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(document).encode()
        digest = digest_of(data)
        (self.folder / "blobs" / digest.replace(":", "/")).write_bytes(data)
        return {**old, "digest": digest, "size": len(data)}

    def save(self) -> None:
        self.manifest["config"] = self.put(self.config, self.manifest["config"])
        self.index["manifests"] = [self.put(self.manifest, self.entry)]
        (self.folder / "index.json").write_text(json.dumps(self.index))


@pytest.fixture(scope="module")
def base(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An image with fields that no specification names, and with annotations."""
    folder = tmp_path_factory.mktemp("odd") / "layout"
    shutil.copytree(bases / "base2", folder)
    layout = Layout(folder)
    layout.config["x-of-tomorrow"] = {"a": [1]}
    layout.config["config"]["X-Of-Tomorrow"] = ["b"]
    layout.manifest["annotations"] = {"base.annotation": "1"}
    layout.save()
    return Layout(folder)


@pytest.fixture(scope="module")
def made(base: Layout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Layout, str]]:
    """An image made on it, and its id."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "context").mkdir()
    (folder / "context" / "Buildfile").write_text(TEXT)
    result = builder.build(
        str(folder / "context"),
        store=str(folder / "store"),
        build_contexts={"odd": f"oci-layout://{base.folder}"},
        build_args={"SOURCE_DATE_EPOCH": str(EPOCH)},
        outputs=[Output("oci", str(folder / "out"), {"tar": "false"})],
    )
    yield Layout(folder / "out"), str(result.image_id)


def test_fields_that_are_not_known_survive(base: Layout, made: tuple[Layout, str]) -> None:
    config = made[0].config
    assert config["x-of-tomorrow"] == {"a": [1]}
    assert config["config"]["X-Of-Tomorrow"] == ["b"]


def test_labels_are_inherited_and_annotations_are_not(made: tuple[Layout, str]) -> None:
    layout, _ = made
    assert layout.config["config"]["Labels"] == {"org.example.role": "base2", "keep": "original", "own": "1"}
    assert "annotations" not in layout.manifest
    assert "base.annotation" not in json.dumps(layout.index)


def test_triggers_of_the_base_are_done_with_and_own_ones_are_kept(made: tuple[Layout, str]) -> None:
    config = made[0].config["config"]
    assert "TRIGGERED=yes" in config["Env"]
    assert config["OnBuild"] == ["RUN never"]


def test_layers_of_the_base_are_as_they_were(base: Layout, made: tuple[Layout, str]) -> None:
    layers = [layer["digest"] for layer in base.manifest["layers"]]
    assert [layer["digest"] for layer in made[0].manifest["layers"]][: len(layers)] == layers


def test_layers_and_history_belong_together(made: tuple[Layout, str]) -> None:
    layout, _ = made
    steps = [entry for entry in layout.config["history"] if not entry.get("empty_layer")]
    diffs = layout.config["rootfs"]["diff_ids"]
    assert len(steps) == len(diffs) == len(layout.manifest["layers"])
    (idle,) = [entry for entry in layout.config["history"] if "-c true" in entry["created_by"]]
    assert idle["empty_layer"]
    assert "echo text" in steps[-1]["created_by"]


def test_a_diff_id_is_the_digest_of_the_plain_tar_and_the_id_that_of_the_config(
    made: tuple[Layout, str],
) -> None:
    layout, image_id = made
    for layer, diff in zip(layout.manifest["layers"], layout.config["rootfs"]["diff_ids"], strict=True):
        data = layout.blob(layer)
        assert digest_of(data) == layer["digest"]
        plain = gzip.decompress(data) if layer["mediaType"].endswith("gzip") else data
        assert digest_of(plain) == diff
    assert image_id == layout.manifest["config"]["digest"] != layout.index["manifests"][0]["digest"]


def test_the_epoch_is_for_what_is_new(base: Layout, made: tuple[Layout, str]) -> None:
    config = made[0].config
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH))
    old = len(base.config["history"])
    assert config["created"] == moment
    assert config["history"][:old] == base.config["history"]
    assert {entry["created"] for entry in config["history"][old:]} == {moment}
