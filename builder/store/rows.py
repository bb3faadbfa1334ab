"""Values of the database's rows, which may be anything: SQLite keeps what it is given, a damaged file what chance made of it."""

from __future__ import annotations

_MOST = 10**15


def number(value: object) -> float:
    """A number; 0 for anything else."""
    if type(value) is float:
        return value if -1e15 < value < 1e15 else 0.0
    return float(value) if isinstance(value, int) and abs(value) < _MOST else 0.0


def whole(value: object) -> int:
    """A whole number that is not negative; 0 for anything else."""
    if type(value) is int:  # nearly always, and rows are many
        return value if 0 <= value < _MOST else 0
    return max(int(number(value)), 0)


def raw(value: object) -> bytes:
    """Bytes; none for anything else."""
    return value if isinstance(value, bytes) else b""


def is_id(value: object) -> bool:
    """Whether a value can be the id of a state."""
    return isinstance(value, bytes) and len(value) == 16
