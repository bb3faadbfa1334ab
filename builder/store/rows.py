"""Values of the database's rows, which may be anything: SQLite keeps what it is given, a damaged file what chance made of it."""

from __future__ import annotations


def number(value: object) -> float:
    """A number; 0 for anything else."""
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e15 else 0.0


def whole(value: object) -> int:
    """A whole number that is not negative; 0 for anything else."""
    return int(number(value)) if number(value) > 0 else 0


def raw(value: object) -> bytes:
    """Bytes; none for anything else."""
    return value if isinstance(value, bytes) else b""


def is_id(value: object) -> bool:
    """Whether a value can be the id of a state."""
    return isinstance(value, bytes) and len(value) == 16
