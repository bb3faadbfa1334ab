"""Progress for machines: one JSON object a line. docs/commands.md describes them.

`event` names the kind, the other fields are the event's. The bytes of a step's output are text in `data` where they are
UTF-8, else base64 in `base64`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict

from builder.errors import BuilderError
from builder.events import Event, StagesPlanned, StepFinished, StepOutput
from builder.report.document import error_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO


class RawJson:
    """Shows events as lines of JSON. A stream that nobody reads any more is left alone, the build goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False
        self._file = ""

    def show(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, StepOutput):
            fields: dict[str, Any] = {"time": event.time, "step": event.step, "stream": event.stream}
            try:
                fields["data"] = event.data.decode()
            except UnicodeDecodeError:
                fields["base64"] = base64.b64encode(event.data).decode()
        else:
            fields = asdict(event)
            if isinstance(event, StagesPlanned):
                self._file = event.file
            elif isinstance(event, StepFinished) and "\n" in event.slot:
                # The build file as it was named, and not where it lies on this machine.
                fields["slot"] = "\n".join([self._file, *event.slot.split("\n")[1:]])
        self._line({"event": type(event).__name__, **fields})

    def failed(self, error: BuilderError) -> None:
        """Write why there is no result, as the last line."""
        self._line({"event": "Error", **error_object(error)})

    def close(self) -> None:
        """Nothing is held back."""

    def _line(self, fields: dict[str, Any]) -> None:
        if self._broken:
            return
        try:
            self._stream.write(json.dumps(fields) + "\n")
            self._stream.flush()
        except OSError:
            self._broken = True
