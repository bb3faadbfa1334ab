"""The `Digest` type: how content is named once it leaves this machine (OCI image spec, descriptor.md)."""

from __future__ import annotations

from builder.errors import ImageError
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
else:
    # For small data, Python's own: to load OpenSSL takes a third of the time in which Python starts.
    try:
        from _sha2 import sha256
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

_HEX = frozenset("0123456789abcdef")
_LENGTHS = {"sha256": 64, "sha512": 128}


@dataclass(frozen=True, slots=True)
class Digest:
    """An algorithm and a lower-case hexadecimal value, checked when made."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        """Refuse what is no digest: the value becomes a file name."""
        if len(self.hex) != _LENGTHS.get(self.algorithm) or not _HEX.issuperset(self.hex):
            raise ImageError(f"not a digest: {self.algorithm[:20]}:{self.hex[:140]}")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """The first twelve digits, as people write them."""
        return self.hex[:12]


def parse_digest(text: str) -> Digest:
    """Read `algorithm:hex`; an `ImageError` if it is anything else."""
    algorithm, _, value = text.partition(":")
    return Digest(algorithm, value)


def digest_of(data: bytes) -> Digest:
    """The SHA-256 digest of some bytes: of documents, not of layers."""
    return Digest("sha256", sha256(data).hexdigest())
