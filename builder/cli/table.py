"""Tables on standard output: aligned columns, nothing that a shell script would stumble over."""

from __future__ import annotations

from collections.abc import Sequence

from builder.report.harmless import harmless


def table(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Rows of equal length as lines with columns as wide as needed; the columns in `right` are set to the right."""
    clean = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    lines = []
    for row in clean:
        cells = [
            f"{cell:>{width}}" if index in right else f"{cell:<{width}}"
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def since(then: float, now: float) -> str:
    """How long ago a moment was, as people say it."""
    seconds = int(now - then)
    for unit, length in (
        ("year", 31536000),
        ("month", 2592000),
        ("week", 604800),
        ("day", 86400),
        ("hour", 3600),
        ("minute", 60),
    ):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}s ago"
    return "just now" if seconds < 60 else "1 minute ago"


def moment(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time, None if it is none."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    except ValueError:
        return None
