"""Points in time as images write them (RFC 3339, UTC)."""

from __future__ import annotations

import time

# Days from the first of March of the year 0 to 1970.
_EPOCH = 719468


def moment(seconds: float) -> str:
    """Seconds since 1970 as `2026-01-02T03:04:05Z`, with the fraction of a second cut off."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds_of(text: str) -> float:
    """The seconds since 1970 of an RFC 3339 time; 0 for an empty or unreadable one."""
    # Not `strptime`: it loads the calendars and languages of the world.
    parts = [text[0:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19]]
    if text[4:5] + text[7:8] + text[10:11].upper() + text[13:14] + text[16:17] != "--T::":
        return 0.0
    if not all(part.isascii() and part.isdigit() for part in parts) or not _exists(*map(int, parts)):
        return 0.0
    year, month, day, hour, minute, second = map(int, parts)
    # Days since 1970: a year begins in March, so that the odd day is its last (proleptic Gregorian calendar).
    shifted, months = (year - 1, month + 9) if month < 3 else (year, month - 3)
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + (153 * months + 2) // 5 + day - 1
    return float((days - _EPOCH) * 86400 + hour * 3600 + minute * 60 + second)


def _exists(year: int, month: int, day: int, hour: int, minute: int, second: int) -> bool:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return (
        year > 0
        and 1 <= month <= 12
        and 1 <= day <= lengths[month - 1]
        and hour < 24
        and minute < 60
        and second <= 61
    )
