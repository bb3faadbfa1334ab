"""Typed reading of JSON documents from outside: every field is checked, and an error names it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from builder.errors import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DOCUMENT = 16 << 20
"""Bytes that a config, manifest or index may have. Registries refuse manifests above 4 MiB already."""


def load_object(document: bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object; `what` names the document in errors. Raises `ImageError` for anything else."""
    if len(document) > MAX_DOCUMENT:
        raise ImageError(f"{what} is larger than {MAX_DOCUMENT >> 20} MiB")
    try:
        value = json.loads(document, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is no valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ImageError(f"{what} is a JSON {kind_of(value)}, not an object")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):  # could be read, but never be written again
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def kind_of(value: object) -> str:
    """The JSON name of a value's type, for messages."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


class Fields:
    """One JSON object and its path in the document. Null counts as absent everywhere, as in Go."""

    def __init__(self, values: Mapping[str, Any], what: str, path: str = "") -> None:
        self.values = values
        self.what = what
        self.path = path

    def bad(self, name: str, wanted: str) -> ImageError:
        """The error for a field of the wrong type."""
        return ImageError(
            f"{self.what}: field {self.path}{name} is a {kind_of(self.values[name])}, not {wanted}"
        )

    def text(self, name: str) -> str:
        """A string, empty if absent."""
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.bad(name, "a string")
        return value

    def number(self, name: str) -> int:
        """An integer, 0 if absent."""
        value = self.values.get(name)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.bad(name, "a whole number")
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false if absent."""
        value = self.values.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.bad(name, "a boolean")
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """An array of strings, None if absent. A lone string counts as an array of one, as in Docker."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.bad(name, "an array of strings")
        return tuple(value)

    def names(self, name: str) -> tuple[str, ...]:
        """The keys of an object that stands for a set (`{"80/tcp": {}}`), sorted."""
        return tuple(sorted(self.mapping(name)))

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """An object of strings as sorted pairs."""
        value = self.mapping(name)
        inner = Fields(value, self.what, f"{self.path}{name}.")
        return tuple((key, inner.text(key)) for key in sorted(value))

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object, empty if absent."""
        value = self.values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.bad(name, "an object")
        return value

    def inner(self, name: str) -> Fields:
        """An object as fields of its own."""
        return Fields(self.mapping(name), self.what, f"{self.path}{name}.")

    def items(self, name: str) -> tuple[Fields, ...]:
        """An array of objects, empty if absent."""
        value = self.values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.bad(name, "an array")
        found = []
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                raise ImageError(
                    f"{self.what}: field {self.path}{name}[{index}] is a {kind_of(item)}, not an object"
                )
            found.append(Fields(item, self.what, f"{self.path}{name}[{index}]."))
        return tuple(found)

    def others(self, known: frozenset[str]) -> dict[str, Any]:
        """The fields that are not in `known`, untouched."""
        return {name: value for name, value in self.values.items() if name not in known}


def render_json(value: Mapping[str, Any]) -> bytes:
    """Canonical JSON: keys sorted, no blanks, UTF-8; equal values give equal bytes, hence equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate came in by an escape and can only go out by one.
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
