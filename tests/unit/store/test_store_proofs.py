"""Blobs that are proven, and dropped where they are damaged."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.digest import Digest, digest_of
from builder.store.store import open_store


def test_threads_that_want_one_damaged_blob_drop_it_once(tmp_path: Path) -> None:
    """Each makes it anew when it is not sound: the blob that one has made is not dropped as the one another has read."""
    data = bytes(8 << 20)
    digest = digest_of(data)
    warnings: list[str] = []
    with open_store(tmp_path / "store") as store:
        store.proofs.warn = warnings.append
        (tmp_path / "store" / "blobs/sha256" / digest.hex).write_bytes(b"x" + data[1:])
        start = threading.Barrier(8)

        def want() -> None:
            start.wait()
            if not store.proofs.sound(digest):
                store.blobs.put(data)

        threads = [threading.Thread(target=want) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(warnings) == 1, warnings
        assert store.proofs.sound(digest)


def test_a_blob_that_another_process_made_anew_is_not_dropped(tmp_path: Path) -> None:
    """What was read was damaged; what is there by now is another file."""
    data = bytes(1 << 20)
    digest = digest_of(data)
    with open_store(tmp_path / "store") as store, open_store(tmp_path / "store") as other:
        path = tmp_path / "store" / "blobs/sha256" / digest.hex
        path.write_bytes(b"x" + data[1:])

        def made_anew(message: str) -> None:
            raise AssertionError(message)

        other.proofs.warn = made_anew
        dropped = store.blobs.drop

        def drop(digest: Digest, seen: str = "") -> None:
            path.unlink()
            other.blobs.put(data)
            dropped(digest, seen)

        store.blobs.drop = drop  # type: ignore[method-assign]
        assert not store.proofs.sound(digest)
        assert path.read_bytes() == data
        assert store.proofs.sound(digest)
        assert other.proofs.sound(digest)


def test_a_blob_that_is_missing_for_a_moment_is_not_dropped(tmp_path: Path) -> None:
    """Another thread drops the damaged one before this one reads it, and makes it anew before this one looks again."""
    data = bytes(1 << 20)
    digest = digest_of(data)
    with open_store(tmp_path / "store") as store, open_store(tmp_path / "store") as other:
        path = tmp_path / "store" / "blobs/sha256" / digest.hex
        path.write_bytes(b"x" + data[1:])
        warnings: list[str] = []
        store.proofs.warn = warnings.append

        @contextmanager
        def dropped_before() -> Iterator[None]:
            path.unlink()
            yield

        def is_there(digest: Digest) -> bool:
            other.blobs.put(data)
            return path.exists()

        store.proofs._reading = dropped_before()  # type: ignore[assignment]
        store.blobs.has = is_there  # type: ignore[method-assign]
        assert store.proofs.sound(digest)
        assert path.read_bytes() == data and warnings == []


def test_a_damaged_document_is_written_anew_once(tmp_path: Path) -> None:
    """Whoever puts it holds the file that is there, whoever wrote that."""
    data = b"{}"
    digest = digest_of(data)
    with open_store(tmp_path / "store") as store, open_store(tmp_path / "store") as other:
        path = tmp_path / "store" / "blobs/sha256" / digest.hex
        path.write_bytes(b"[]")
        assert store.blobs.put(data) == other.blobs.put(data) == digest
        assert path.read_bytes() == data
        for one in (store, other):
            with open(path, "rb") as stream, pytest.raises(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            one.blobs.drop(digest, "another file")  # lets go of it, and removes nothing
            assert path.exists()
        with open(path, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
