"""The names that STOPSIGNAL may use: those of Linux, whatever system this runs on."""

from __future__ import annotations

NAMES = frozenset(
    {
        *(
            "ABRT",
            "ALRM",
            "BUS",
            "CHLD",
            "CLD",
            "CONT",
            "FPE",
            "HUP",
            "ILL",
            "INT",
            "IO",
            "IOT",
            "KILL",
            "PIPE",
        ),
        *("POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN"),
        *("TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX"),
        *(f"RTMIN+{number}" for number in range(1, 16)),
        *(f"RTMAX-{number}" for number in range(1, 15)),
    }
)

_DIGITS = 40  # more than any number has


def is_signal(text: str) -> bool:
    """Whether STOPSIGNAL takes it: a number other than 0, or a name with or without SIG, in any case."""
    if text[text[:1] in ("+", "-") :].isdecimal() and text.isascii():
        return len(text) < _DIGITS and int(text) != 0 and -(1 << 63) <= int(text) < 1 << 63
    return text.upper().removeprefix("SIG") in NAMES
