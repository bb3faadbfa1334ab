"""`RUN --device`: a device of the Container Device Interface by its name, and whether the step needs it."""

from __future__ import annotations

from builder.buildfile.syntax import Run, Span
from builder.graph.draft import Draft
from builder.graph.places import suggest
from builder.graph.steps import DeviceSpec

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_KEYS = ["name", "required"]


def plan_devices(draft: Draft, line: Run) -> tuple[DeviceSpec, ...]:
    """The devices of a RUN line: `NAME[,required[=BOOL]]` or `name=NAME,…` each. Raises `BuildFileError`."""
    return tuple(_device(draft, line, text) for text in line.devices)


def _device(draft: Draft, line: Run, text: str) -> DeviceSpec:
    import csv  # late: hardly any file has devices

    name, required = "", False
    for field in next(csv.reader([text]), []):
        key, mark, value = field.partition("=")
        if key.lower() == "required" and (not mark or value in _TRUE | _FALSE):
            required = not mark or value in _TRUE
        elif key.lower() == "required":
            raise draft.bad(
                _place(draft, line, field),
                f"invalid value for required: {value[:80]!r}",
                "write required, or required=true or required=false",
            )
        elif key.lower() == "name" and mark and not name:
            name = value
        elif not name and key.lower() != "name":
            name = field  # a name such as vendor.com/gpu=all may hold the sign itself
        elif key.lower() == "name":
            place = _place(draft, line, field)
            raise draft.bad(place, f"a device has one name, and {name[:80]!r} is it", "keep one of them")
        else:
            hint = suggest(key, _KEYS, "write NAME, or NAME,required")
            raise draft.bad(_place(draft, line, field), f"unknown field {field[:80]!r}", hint)
    if not name:
        raise draft.bad(
            _place(draft, line, text), "the device has no name", "write --device=vendor.com/class=name"
        )
    return DeviceSpec(name, required)


def _place(draft: Draft, line: Run, text: str) -> Span:
    """Where a text stands in the first line of an instruction; the whole instruction if it is elsewhere."""
    span = line.span
    lines = draft.graph.file.lines
    first = lines[span.line - 1] if 0 < span.line <= len(lines) else ""
    at = first.find(text, span.column - 1) if text else -1
    return Span(span.line, at + 1, span.line, at + 1 + len(text)) if at >= 0 else span
