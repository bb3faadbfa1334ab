"""Text that people read: without control characters, sizes with units."""

from __future__ import annotations

import re

# What moves cursors, changes colours or rings bells in a terminal does nothing in a log.
_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)


def clean(text: str) -> str:
    """Text without control characters and sequences."""
    return _CONTROL.sub("", text)


def human(size: int) -> str:
    """A number of bytes for people: `812 B`, `3.4 MB`."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"
