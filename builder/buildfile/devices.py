"""The value of `RUN --device`: a name of the Container Device Interface, and whether the step needs it."""

from __future__ import annotations

from collections.abc import Iterator

from builder.buildfile.flags import FlagText
from builder.buildfile.line import Line, nearest

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_KEYS = ("name", "required")


class DeviceError(Exception):
    """What is wrong with a device, with the `part` of its text that it is about, and a hint."""

    def __init__(self, message: str, part: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.part = part
        self.hint = hint


def read_device(text: str) -> tuple[str, bool]:
    """The name, empty if none is given, and whether it is required: `NAME[,required[=BOOL]]` or `name=NAME,…`."""
    name, required = "", False
    for field in _fields(text):
        key, mark, value = field.partition("=")
        if key.lower() == "required" and (not mark or value in _TRUE | _FALSE):
            required = not mark or value in _TRUE
        elif key.lower() == "required":
            message = f"invalid value for required: {value[:80]!r}"
            raise DeviceError(message, field, "write required, or required=true or required=false")
        elif key.lower() == "name" and mark and not name:
            name = value
        elif not name and (key.lower() != "name" or not mark):
            name = field  # a name such as vendor.com/gpu=all may hold the sign itself
        elif key.lower() == "name":
            raise DeviceError(f"a device has one name, and {name[:80]!r} is it", field, "keep one of them")
        else:
            near = nearest(key, _KEYS)
            hint = f"did you mean {near}?" if near else "write NAME, or NAME,required"
            raise DeviceError(f"unknown field {field[:80]!r}", field, hint)
    return name, required


def check_device(line: Line, flag: FlagText) -> str:
    """The text of a flag that can be read as a device; else a `BuildFileError` at what is wrong with it."""
    text = flag.value or ""
    try:
        read_device(text)
    except DeviceError as error:
        at = text.find(error.part) if flag.plain and error.part else -1
        if at < 0:
            raise line.flag_error(flag, error.message, error.hint) from None
        raise line.error(error.message, flag.value_at + at, len(error.part), error.hint) from None
    return text


def _fields(text: str) -> Iterator[str]:
    import csv  # late: hardly any file has devices

    if not text:
        raise DeviceError("the device has no name", "", "write --device=vendor.com/class=name")
    yield from next(csv.reader([text]), [])
