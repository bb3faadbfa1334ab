"""The `created_by` texts of the image history, in BuildKit's form: scanners and people read them."""

from __future__ import annotations

from collections.abc import Iterable

from builder.image.config import Health

SUFFIX = " # buildkit"
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_UNITS = ((3600 * 10**9, "h"), (60 * 10**9, "m"))
_SMALL_UNITS = ((10**9, "s"), (10**6, "ms"), (10**3, "µs"))


def run_text(argv: Iterable[str], args: tuple[tuple[str, str], ...]) -> str:
    """`RUN |2 A=1 B=2 /bin/sh -c make # buildkit`: the ARG values in sight, then the command."""
    words = [f"|{len(args)}", *(f"{name}={value}" for name, value in args)] if args else []
    return "RUN " + " ".join([*words, *argv]) + SUFFIX


def list_text(items: Iterable[str]) -> str:
    """`[80/tcp 443/tcp]`."""
    return f"[{' '.join(items)}]"


def quoted_list_text(items: Iterable[str]) -> str:
    """`["/bin/sh" "-c" "true"]`."""
    return f"[{' '.join(quoted_text(item) for item in items)}]"


def quoted_text(text: str) -> str:
    """A string literal of Go, in which these texts were first written."""
    found = []
    for sign in text:
        if sign in '"\\':
            found.append("\\" + sign)
        elif sign in _ESCAPES:
            found.append(_ESCAPES[sign])
        elif sign.isprintable():
            found.append(sign)
        elif ord(sign) < 0x80:
            found.append(f"\\x{ord(sign):02x}")
        else:
            found.append(f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}")
    return f'"{"".join(found)}"'


def duration_text(nanoseconds: int) -> str:
    """`1m30s`, `500ms`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    found, left = "", nanoseconds
    for size, unit in _UNITS:
        if left >= size or found:
            found += f"{left // size}{unit}"
            left %= size
    if found:
        return f"{found}{_decimal(left, 10**9)}s"
    for size, unit in _SMALL_UNITS:
        if left >= size:
            return f"{_decimal(left, size)}{unit}"
    return f"{left}ns"


def health_text(health: Health) -> str:
    """`{Test:[CMD-SHELL true] Interval:5m0s …}`."""
    return (
        f"{{Test:{list_text(health.test)} Interval:{duration_text(health.interval)}"
        f" Timeout:{duration_text(health.timeout)} StartPeriod:{duration_text(health.start_period)}"
        f" StartInterval:{duration_text(health.start_interval)} Retries:{health.retries}}}"
    )


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
