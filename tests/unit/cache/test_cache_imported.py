"""A remote cache that is read: when it is asked, and what is taken from it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.cache.document import LARGEST, LISTING, RECORDS, Document, parse, render
from builder.cache.folder import FolderPlace
from builder.cache.imported import ImportedCache
from builder.cache.place import LatePlace
from builder.cache.spec import CacheSpec
from builder.image.manifest import Descriptor, Manifest, describe, render_manifest
from builder.image.platform import host_platform

Write = Callable[[bytes], Descriptor]


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    """A cache without records."""
    found = FolderPlace(str(tmp_path / "cache"), "latest")
    data = render(Document("", ()))
    config = describe(data, RECORDS)
    found.put(config, lambda: io.BytesIO(data))
    found.put_manifest(render_manifest(Manifest(config=config, layers=(), annotations=())))
    return found


@pytest.fixture
def cache(place: FolderPlace) -> Iterator[tuple[ImportedCache, list[str]]]:
    """It, and what it warned of or did."""
    told: list[str] = []

    def opened() -> FolderPlace:
        told.append("opened")
        return place

    found = ImportedCache(
        CacheSpec("local", {"src": "x"}), LatePlace(opened), host_platform(), told.append, None
    )
    yield found, told
    found.close()


def test_it_is_asked_when_something_is_wanted_of_it(cache: tuple[ImportedCache, list[str]]) -> None:
    one, told = cache
    assert told == []
    assert one.document() == Document("", ())
    assert one.find("0" * 64) is None
    assert told == ["opened"]


def test_what_sources_were_may_be_large(
    cache: tuple[ImportedCache, list[str]], place: FolderPlace, tmp_path: Path
) -> None:
    """Of more than 400,000 files, for one; it goes to a file, and is one only if its digest fits."""
    one, told = cache
    data = os.urandom(1 << 20) * 20
    listing = describe(data, LISTING)
    assert len(data) > LARGEST
    record = (
        b'{"version":1,"scope":"","records":[{"keys":["%s"],"slot":"s","parts":[],"created":1,"seconds":1,"entries":0,'
        % (b"0" * 64)
        + b'"size":0,"changes":null,"layer":null,"listing":{"digest":"%s","size":%d}}]}'
        % (
            str(listing.digest).encode(),
            listing.size,
        )
    )
    assert parse(record).records[0].listing == listing
    place.put(listing, lambda: io.BytesIO(data))
    assert one.save_listing(listing, str(tmp_path / "right"))
    assert (tmp_path / "right").read_bytes() == data
    other = describe(data[:-1] + b"x", LISTING)
    os.link(
        tmp_path / "cache/blobs/sha256" / listing.digest.hex,
        tmp_path / "cache/blobs/sha256" / other.digest.hex,
    )
    assert not one.save_listing(other, str(tmp_path / "wrong"))
    assert not one.save_listing(describe(b"gone", LISTING), str(tmp_path / "gone"))
    assert told == ["opened"]  # it is no reason to give the cache up
