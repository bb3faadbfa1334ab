"""Durations as Go writes them: `1h30m`, `1.5s`, `300ms`."""

from __future__ import annotations

import re

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_MOST_DIGITS = 19
_LONGEST = (1 << 63) - 1


def parse_duration(text: str) -> int:
    """Nanoseconds; a `ValueError` for what is no duration."""
    rest = text.lstrip("+-") if len(text) - len(text.lstrip("+-")) <= 1 else ""
    if rest == "0":
        return 0
    total, at = 0, 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None or not (match[1] or match[2]):
            raise ValueError(f"{text[:40]!r} is no duration")
        if len(match[1].lstrip("0")) > _MOST_DIGITS:
            raise ValueError(f"{text[:40]!r} is too long")
        unit = _UNITS[match[3]]
        total += int(match[1] or 0) * unit
        if match[2]:
            digits = match[2][:_MOST_DIGITS]
            total += int(digits) * unit // 10 ** len(digits)
        at = match.end()
        if total > _LONGEST:
            raise ValueError(f"{text[:40]!r} is too long")
    if not rest:
        raise ValueError(f"{text[:40]!r} is no duration")
    return -total if text.startswith("-") else total
