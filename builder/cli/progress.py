"""Which way progress is shown, and where."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from builder.cli.surroundings import Surroundings
from builder.errors import BuilderError
from builder.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from builder.cli.reports import ReportFile
else:
    Protocol = object

MODES = ("auto", "plain", "tty", "quiet", "none", "rawjson")


class Display(Protocol):
    """Shows events of a build as they come."""

    def show(self, event: Event) -> None:
        """Show one event; called by several threads, one at a time."""

    def close(self) -> None:
        """Write what was held back and leave the stream as it was found."""


class Progress:
    """The display of one build and its report files, which are written whatever happens.

    `tells_errors` means that nobody else has to show the error that ends the build, `shows_output` that the output of a
    step that failed has just been shown.
    """

    def __init__(self, mode: str, around: Surroundings, reports: tuple[ReportFile, ...], store: str) -> None:
        if mode == "auto":
            mode = "tty" if around.err.isatty() else "plain"
        if mode == "tty" and around.dumb:
            mode = "plain"
        self.tells_errors = mode == "rawjson"
        self.shows_output = mode == "tty"
        self._display = _display(mode, around)
        self._around = around
        self._reports = reports
        self._store = store
        self._recorder = None
        if reports:
            from builder.report.reportfile import Recorder

            self._recorder = Recorder()

    @property
    def listener(self) -> Callable[[Event], None] | None:
        """What takes the events of the build; None if nobody would see any of them."""
        return self.show if self._display is not None or self._recorder is not None else None

    def show(self, event: Event) -> None:
        """Pass an event on."""
        if self._recorder is not None:
            self._recorder.show(event)
        if self._display is not None:
            self._display.show(event)

    def failed(self, error: BuilderError) -> None:
        """Note why there is no result."""
        if self._recorder is not None:
            self._recorder.failed(error)
        self.tell(error)

    def tell(self, error: BuilderError) -> None:
        """Show an error, if this display is the one that does."""
        if self.tells_errors:
            from builder.report.rawjson import RawJson

            RawJson(self._around.err).failed(error)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.close()
        if self._recorder is None:
            return
        from builder.cli.reports import write_reports

        try:
            write_reports(self._recorder.report(), self._reports, self._around, store=self._store)
        except BuilderError as unwritten:
            if error is None:
                raise
            # What ended the build matters more.
            self._around.err.write(f"warning: {unwritten.message}\n")


def _display(mode: str, around: Surroundings) -> Display | None:
    if mode == "plain":
        from builder.report.plain import Plain

        return Plain(around.err)
    if mode == "tty":
        from builder.report.tty import Terminal

        return Terminal(around.err, color=around.colours)
    if mode == "rawjson":
        from builder.report.rawjson import RawJson

        return RawJson(around.err)
    return None
