"""Points in time as images write them (RFC 3339, UTC)."""

from __future__ import annotations

import time


def moment(seconds: float) -> str:
    """Seconds since 1970 as `2026-01-02T03:04:05Z`, with the fraction of a second cut off."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds_of(text: str) -> float:
    """The seconds since 1970 of an RFC 3339 time; 0 for an empty or unreadable one."""
    from calendar import timegm

    try:
        return float(timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0
