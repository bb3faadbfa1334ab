"""The exec form: a JSON array of strings. What is no JSON is text, what is another array is a mistake."""

from __future__ import annotations

import re

_STRAY = re.compile("[\ud800-\udfff]")


class NotStringsError(ValueError):
    """A JSON array with something else than strings in it; `item` is the first of those, as written in JSON."""

    def __init__(self, item: str) -> None:
        super().__init__(item)
        self.item = item


def parse_array(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array, None for a text that is no JSON array; `NotStringsError` for other arrays."""
    if not text.startswith("["):
        return None
    import json

    try:
        items = json.loads(text, parse_constant=_refuse, parse_int=_number, parse_float=_number)
    except (ValueError, RecursionError):
        return None
    for item in items:
        if not isinstance(item, str):
            raise NotStringsError(json.dumps(item)[:40])
    # What is no Unicode is replaced, as JSON readers do: neither files nor arguments could hold it.
    return tuple([_STRAY.sub("\ufffd", item) if not item.isascii() else item for item in items])


def is_array(text: str) -> bool:
    """Whether a text is a JSON array."""
    try:
        return parse_array(text) is not None
    except NotStringsError:
        return True


def _number(text: str) -> int | float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number that is too large")
    return int(text) if len(text) < 20 and text.lstrip("-").isdecimal() else number


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
