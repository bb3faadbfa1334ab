"""The document of a remote cache: what it looks like, and what is not taken for one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from builder.cache.document import (
    LARGEST,
    Document,
    RemoteMount,
    RemoteRecord,
    parse,
    portable_key,
    render,
)
from builder.cache.key import Part
from builder.cache.spec import CacheSpec, check_cache_from, check_cache_to
from builder.digest import Digest
from builder.errors import ImageError, UsageError
from builder.image.manifest import OCI_LAYER_GZIP
from builder.store.layers import Layer

LAYER = Layer(Digest("sha256", "1" * 64), Digest("sha256", "2" * 64), OCI_LAYER_GZIP, 100, 2048, pulled=True)
RECORD = RemoteRecord(
    keys=("a" * 64, "b" * 64),
    slot="Buildfile\nbuild\nRUN",
    parts=(Part("parent", "", "c" * 64), Part("argument", "0", "make")),
    created=1767225600.125,
    seconds=12.5,
    entries=3,
    size=10,
    changes=bytes(32),
    layer=LAYER,
)
NOTHING = RemoteRecord(("d" * 64,), "Buildfile\nbuild\nWORKDIR", (), 0.0, 0.0, 0, 0, None, None)
DOCUMENT = Document("main", (RECORD, NOTHING), (RemoteMount("e" * 32, "/root/.cache", (LAYER,)),))


def test_a_document_comes_back_as_it_was() -> None:
    assert parse(render(DOCUMENT)) == DOCUMENT


def test_the_order_of_records_changes_no_byte() -> None:
    assert render(DOCUMENT) == render(Document("main", (NOTHING, RECORD), DOCUMENT.mounts))


def test_names_that_are_no_utf8_do_not_keep_a_document_from_being_written() -> None:
    odd = Part("file", b"\xff".decode("utf-8", "surrogateescape"), "x")
    record = RemoteRecord(("a" * 64,), "s", (odd,), 0.0, 0.0, 0, 0, None, None)
    assert parse(render(Document("", (record,)))).records[0].parts[0].name == "\\udcff"


def test_keys_tell_every_list_apart() -> None:
    lists = [
        [Part("a", "b", "c")],
        [Part("ab", "", "c")],
        [Part("a", "bc", "")],
        [Part("a", "b", "c"), Part("", "", "")],
        [Part("", "", ""), Part("a", "b", "c")],
        [],
    ]
    assert len({portable_key(parts) for parts in lists}) == len(lists)
    # It must never change for the same parts: other machines have it too.
    assert (
        portable_key([Part("instruction", "", "RUN"), Part("argument", "0", "é")])
        == "1d0593eeb92aa6c81b35cbb0ecb70f5b36082648a061707936f854618cb71362"
    )


def each_record(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda value: [record.update(fields) for record in value["records"]]


def each_layer(**fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda value: [record["layer"].update(fields) for record in value["records"] if record["layer"]]


BAD: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda value: value.update(version=2),
    "no version": lambda value: value.pop("version"),
    "a scope that is no text": lambda value: value.update(scope=["main"]),
    "an endless scope": lambda value: value.update(scope="x" * 1000),
    "records that are none": lambda value: value.update(records={"a": 1}),
    "a record that is none": lambda value: value.update(records=[7]),
    "no keys": each_record(keys=[]),
    "many keys": each_record(keys=["a" * 64] * 5),
    "keys that are paths": each_record(keys=["../" * 21 + "x"]),
    "keys in capitals": each_record(keys=["A" * 64]),
    "keys that are numbers": each_record(keys=[7]),
    "parts of four": each_record(parts=[["a", "b", "c", "d"]]),
    "parts that are numbers": each_record(parts=[[1, 2, 3]]),
    "too many parts": each_record(parts=[["a", "b", "c"]] * 10_001),
    "a long slot": each_record(slot="x" * 5000),
    "a time after the end": each_record(created=1e300),
    "a time before the beginning": each_record(created=-1),
    "a time that is none": each_record(created="now"),
    "a time that is true": each_record(created=True),
    "a size below nothing": each_record(size=-1),
    "a size in parts": each_record(size=1.5),
    "entries without end": each_record(entries=1 << 70),
    "changes without a layer": each_record(layer=None, changes="0" * 64),
    "a layer without changes": each_record(changes=None),
    "changes that are short": each_record(changes="00"),
    "a layer that is none": each_record(layer="x", changes="0" * 64),
    "a digest that is a path": each_layer(digest="sha256:../../../../etc/passwd"),
    "a digest of another kind": each_layer(digest="sha512:" + "0" * 128),
    "a diff_id that is none": each_layer(diff_id="latest"),
    "a kind of layer that nobody knows": each_layer(mediaType="text/html"),
    "a layer of an endless size": each_layer(size=1 << 70),
    "mounts that are none": lambda value: value.update(mounts="x"),
    "a mount whose name is a path": lambda value: value["mounts"][0].update(name="../../x"),
    "a mount without packs": lambda value: value["mounts"][0].update(packs=7),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
def test_what_is_no_document_is_an_error(change: Callable[[dict[str, Any]], object]) -> None:
    value = copy.deepcopy(json.loads(render(DOCUMENT)))
    change(value)
    with pytest.raises(ImageError):
        parse(json.dumps(value).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff\x00",
        b"[" * 100_000,
        b'{"version": 1, "scope": "", "records": [NaN]}',
        b'{"version": 1, "scope": "", "records": [{"created": 1e999}]}',
        b" " * (LARGEST + 1),
    ],
    ids=["empty", "a list", "no text", "deep", "NaN", "infinite", "large"],
)
def test_what_is_no_json_of_ours_is_an_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        parse(data)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (CacheSpec("gha"), "is not supported"),
        (CacheSpec("ftp"), "there is no type"),
        (CacheSpec("registry"), "needs ref="),
        (CacheSpec("registry", {"ref": "a", "dest": "x"}), 'knows no "dest"'),
        (CacheSpec("registry", {"ref": f"a@sha256:{'0' * 64}"}), "by a tag"),
        (CacheSpec("local", {"dest": "x", "mode": "most"}), "mode=most means nothing"),
        (CacheSpec("local", {"dest": "x", "compression": "rar"}), "compression=rar means nothing"),
        (CacheSpec("local", {"dest": "x", "image-manifest": "false"}), "cannot be switched off"),
        (CacheSpec("local", {"dest": "x", "trust": "k"}), 'knows no "trust"'),
        (CacheSpec("inline", {"mode": "max"}), "keeps the records of the result"),
        (CacheSpec("local", {"dest": "x", "timeout": "0"}), "timeout is a number"),
    ],
)
def test_what_cannot_be_written_to_is_refused(spec: CacheSpec, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_cache_to(spec)


def test_secrets_of_a_spec_are_shown_nowhere() -> None:
    spec = CacheSpec("s3", {"bucket": "b", "secret_access_key": "hidden", "scope": "main", "timeout": "1.5s"})
    check_cache_from(spec)
    assert "hidden" not in f"{spec} {spec!r}"
    assert (str(spec), spec.timeout) == ("s3 b (scope main)", 1.5)
