"""Text from elsewhere, made fit for a log or a terminal: it cannot move the cursor, colour, hide or fake lines."""

from __future__ import annotations

import re

# ECMA-48: CSI sequences, the string sequences (OSC, DCS, SOS, PM, APC) with their ends, and two-character ones.
_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?|\x9b[0-?]*[ -/]*[@-~]?"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?"
)


def harmless(text: str) -> str:
    r"""`text` on one line without control sequences; other signs that do not print are written as `\x..` or `\u....`.

    A tab stays. Signs that turn the direction of writing count as not printing: they make lines read as what they are not.
    """
    if text.isprintable():
        return text
    if "\x1b" in text or "\x9b" in text:
        text = _SEQUENCES.sub("", text)
    return "".join(
        sign if sign.isprintable() or sign in "\t\u00a0\u3000" else _written(sign) for sign in text
    )


def _written(sign: str) -> str:
    number = ord(sign)
    if sign in "\x00\x07\x08":  # bells, backspaces and padding say nothing
        return ""
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is no UTF-8, as Python keeps it in text
        number -= 0xDC00
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
