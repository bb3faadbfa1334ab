"""The last output of a command: bounded, and without secrets."""

from __future__ import annotations

import random

from builder.execute.tail import Tail


def kept(limit: int, secrets: list[bytes], *pieces: bytes) -> bytes:
    tail = Tail(limit, secrets)
    for piece in pieces:
        tail.add(piece)
    return tail.text()


def test_the_last_bytes_are_kept() -> None:
    assert kept(4, [], b"") == b""
    assert kept(4, [], b"abc") == b"abc"
    assert kept(4, [], b"abc", b"def") == b"cdef"
    assert kept(4, [], b"abcdefgh") == b"efgh"


def test_a_secret_is_masked_whole_and_line_by_line() -> None:
    assert kept(99, [b"hunter2\n"], b"the password is hunter2", b"!\n") == b"the password is ****!\n"
    assert kept(99, [b"hunter2\n"], b"hunter2\nnext\n") == b"****\nnext\n"
    assert kept(99, [b"hunter2"], b"hun", b"ter2") == b"****"
    key = b"-----BEGIN-----\nAAAA\nBB\n-----END-----\n"
    assert kept(99, [key], b"read AAAA and BB") == b"read **** and BB"
    assert kept(99, [b"x"], b"x is short") == b"**** is short"
    assert kept(99, [b"", b" \n"], b"blank") == b"blank"
    assert kept(99, [b"pass", b"password"], b"password") == b"****"


def test_of_secrets_that_overlap_nothing_is_left() -> None:
    host, path = b"https://user@host", b"host/token-of-the-host"
    assert kept(99, [host, path], b"GET https://user@host/token-of-the-host now") == b"GET **** now"
    assert kept(99, [b"abab"], b"xabababx") == b"x****x"
    assert kept(99, [b"first", b"second"], b"firstsecond") == b"********"


def test_no_part_of_a_secret_is_left_where_the_output_is_cut() -> None:
    secret = b"0123456789"
    chance = random.Random(3)
    for length in range(60):
        text = b"x" * (length % 23) + secret + b"y" * length
        cuts = sorted(chance.randrange(len(text) + 1) for _ in range(3))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        found = kept(20, [secret], *pieces)
        assert not set(found) & set(secret), (length, found)
        assert len(found) <= 20 and found.endswith(b"y" * min(length, 16))
