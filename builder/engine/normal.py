"""What a reproducible build makes of files whose metadata depend on the machine that they come from."""

from __future__ import annotations

from builder.cache.key import Part
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Normal:
    """What files of contexts get when they are copied: `time` in nanoseconds (-1: their own), and `chmod` for steps that say
    none (None: their own modes).
    """

    time: int = -1
    chmod: str | None = None

    def parts(self) -> list[Part]:
        """What a key says of it."""
        return [] if self.chmod is None else [Part("option", "reproducible", f"{self.time} {self.chmod}")]


AS_THEY_ARE = Normal()


def git_like(seconds: int) -> Normal:
    """One time for all files, and the modes that a checkout by git has with the usual umask: who may run a file is kept,
    nothing else.
    """
    return Normal(seconds * 10**9, "u=rwX,go=rX")
