"""Who an OWNER of `--chown` is, as far as the text tells."""

from __future__ import annotations

import re

_NUMBER = re.compile("[+-]?[0-9]+")


def owner_id(text: str) -> int | None:
    """The id that one part of an OWNER is as BuildKit reads it, None for a name: a number of 32 bits with a sign, a
    negative one counts from 2³². Larger ones are names.
    """
    if text == "root":
        return 0
    if len(text) > 100 or not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    if not -(1 << 31) <= number < 1 << 31:
        return None
    return 0 if number == -1 else number % (1 << 32)  # chown(2) takes -1 for "as it is", which is root's


def names_somebody(owner: str) -> bool:
    """Whether the owner of `--chown` must be looked up in the files below."""
    return any(part and owner_id(part) is None for part in owner.split(":", 1))
