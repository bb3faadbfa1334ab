"""Keys: what a step depends on, as an ordered list of typed parts, and one hash over all of them."""

from __future__ import annotations

from collections.abc import Iterable

from builder.core.tree import hash_bytes
from builder.value import dataclass

# Raised when the meaning of any part changes, so that no record of an older meaning is found.
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a step depends on.

    `kind` says what it is (`parent`, `file`, `env`, `arg`, `user`, …), `name` which one, `value` what it is now: the
    thing itself where it is short and no secret, a fingerprint where it is large.
    """

    kind: str
    name: str
    value: str

    @property
    def label(self) -> str:
        """How people call it: `file src/a.py`, `arg VERSION`, `parent`."""
        return f"{self.kind} {self.name}".rstrip()


def key_of(parts: Iterable[Part], secret: bytes) -> bytes:
    """The 16-byte key of a list of parts.

    Every text is framed by its length, so that no two lists encode alike; the store's secret makes collisions
    impossible to prepare from outside.
    """
    encoded = bytearray(VERSION.encode())
    for part in parts:
        for text in (part.kind, part.name, part.value):
            data = text.encode("utf-8", "surrogateescape")
            encoded += len(data).to_bytes(8, "little") + data
    return hash_bytes(bytes(encoded), secret)


def state_after(parent: bytes, changes: bytes, secret: bytes) -> bytes:
    """The state that changes with this fingerprint make of a parent state (16 bytes)."""
    return hash_bytes(b"state" + parent + changes, secret)


# The state of an empty root file system, where `FROM scratch` begins.
SCRATCH = bytes(16)
