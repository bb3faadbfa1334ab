"""`RUN --device`: a device of the Container Device Interface by its name, and whether the step needs it."""

from __future__ import annotations

from builder.buildfile.devices import read_device
from builder.buildfile.syntax import Run
from builder.graph.draft import Draft
from builder.graph.places import narrow
from builder.graph.steps import DeviceSpec


def plan_devices(draft: Draft, line: Run) -> tuple[DeviceSpec, ...]:
    """The devices of a RUN line, whose form was checked when it was parsed. Raises `BuildFileError`."""
    return tuple(_device(draft, line, text) for text in line.devices)


def _device(draft: Draft, line: Run, text: str) -> DeviceSpec:
    name, required = read_device(text)
    if not name:
        place = narrow(draft.graph.file, line.span, f"--device={text}")
        raise draft.bad(place, "the device has no name", "write --device=vendor.com/class=name")
    return DeviceSpec(name, required)
