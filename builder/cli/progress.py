"""Which way progress is shown, and where."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from builder.errors import UsageError
from builder.events import Event

Show = Callable[[Event], None]
MODES = ("auto", "plain", "tty", "quiet", "rawjson")


@contextmanager
def open_progress(mode: str, stream: TextIO, *, report: str | None = None) -> Iterator[Show]:
    """A callback that shows events in a way; `report` names a file for the JSON report, written whatever happens."""
    if mode not in MODES:
        raise UsageError(f"there is no progress {mode!r}", hint=f"use one of {', '.join(MODES)}")
    if mode == "auto":
        dumb = os.environ.get("TERM", "dumb") == "dumb"
        mode = "tty" if stream.isatty() and not dumb else "plain"
    recorder = None
    if report is not None:
        from builder.report.reportfile import Recorder

        recorder = Recorder()
    if mode == "plain":
        from builder.report.plain import Plain

        plain = Plain(stream)
        show: Show = plain.show
        close = plain.close
    elif mode == "tty":
        from builder.report.tty import Terminal

        terminal = Terminal(stream, color="NO_COLOR" not in os.environ)
        show, close = terminal.show, terminal.close
    elif mode == "rawjson":
        from builder.report.rawjson import RawJson

        raw = RawJson(stream)
        show, close = raw.show, raw.close
    else:
        show, close = _nothing, _nothing_to_close

    def both(event: Event) -> None:
        if recorder is not None:
            recorder.show(event)
        show(event)

    try:
        yield both
    finally:
        close()
        if recorder is not None and report is not None:
            recorder.write(report)


def _nothing(event: Event) -> None:
    del event


def _nothing_to_close() -> None:
    pass
