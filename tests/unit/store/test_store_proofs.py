"""Blobs that are proven, and dropped where they are damaged."""

from __future__ import annotations

import threading
from pathlib import Path

from builder.digest import digest_of
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
