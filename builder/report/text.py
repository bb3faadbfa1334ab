"""Numbers as people read them."""

from __future__ import annotations


def human(size: int) -> str:
    """A number of bytes: `812 B`, `3.4 MB`; units are powers of 1000."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def seconds(value: float) -> str:
    """A duration: `0.3s`, `12.0s`, `2m05s`, `1h02m`."""
    if value < 59.95:
        return f"{value:.1f}s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def counted(number: int, noun: str, plural: str = "s") -> str:
    """A number of things: `1 step`, `3 steps`; `plural` is what the noun ends in if there is not just one."""
    return f"{number} {noun}{'' if number == 1 else plural}"
