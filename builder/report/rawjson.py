"""Progress for machines: one JSON object a line, `event` names its kind, the other fields are the event's.

Bytes of output are text in `data`; what is no UTF-8 in it is replaced.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TextIO

from builder.events import Event, StepOutput


class RawJson:
    """Shows events as lines of JSON."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: Event) -> None:
        """Write one event."""
        fields = asdict(event)
        if isinstance(event, StepOutput):
            fields["data"] = event.data.decode("utf-8", "replace")
        self._stream.write(json.dumps({"event": type(event).__name__, **fields}) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is held back."""
        self._stream.flush()
