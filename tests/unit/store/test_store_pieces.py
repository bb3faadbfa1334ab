"""Where compressed pieces are in earlier blobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.digest import Digest
from builder.store import pieces
from builder.store.pieces import Piece
from builder.store.store import open_store

ONE, OTHER = Digest("sha256", "1" * 64), Digest("sha256", "2" * 64)


def test_the_newest_blob_that_has_a_piece_is_named(tmp_path: Path) -> None:
    with open_store(str(tmp_path)) as store:
        assert store.pieces.find(b"a") is None
        store.pieces.keep(ONE, [Piece(b"a", 0, 10, b"x"), Piece(b"b", 10, 5, b"y")])
        store.pieces.keep(OTHER, [Piece(b"a", 3, 10, b"x")])
        assert store.pieces.find(b"a") == (OTHER, Piece(b"a", 3, 10, b"x"))
        assert store.pieces.find(b"b") == (ONE, Piece(b"b", 10, 5, b"y"))
        store.pieces.forget(OTHER)
        assert store.pieces.find(b"a") is None
        assert store.pieces.find(b"b") is not None


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_MOST", 10)
    with open_store(str(tmp_path)) as store:
        for number in range(8):
            store.pieces.keep(ONE, [Piece(b"%d %d" % (number, k), k, 1, b"") for k in range(4)])
        there = [(n, k) for n in range(8) for k in range(4) if store.pieces.find(b"%d %d" % (n, k))]
        assert len(there) == 10
        assert there[-4:] == [(7, k) for k in range(4)]
