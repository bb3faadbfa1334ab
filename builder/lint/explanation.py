"""Why a rule is there, with an example against it and one for it."""

from __future__ import annotations

from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a rule is there. `ignore` is an ignore file that goes with the examples."""

    why: str
    bad: str
    good: str
    ignore: str = ""
