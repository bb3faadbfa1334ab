"""Report files: what a build told, gathered from its events and written in one of several formats.

The library's way to a report is that of the command:

    recorder = builder.Recorder()
    try:
        builder.build(".", on_event=recorder.show)
    except builder.BuilderError as error:
        recorder.failed(error)
    recorder.write("report.html")
"""

from __future__ import annotations

import os

from builder.errors import BuilderError, UsageError
from builder.events import BuildFinished, Event, StagesPlanned, StepFinished, StepStarted, Warned
from builder.report.document import Report, ReportStep, error_object
from builder.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from builder.report.advice import Advised
    from builder.report.trend import Trend

FORMATS = ("json", "markdown", "junit", "html", "github")
_EXTENSIONS = {
    ".json": "json",
    ".md": "markdown",
    ".markdown": "markdown",
    ".xml": "junit",
    ".html": "html",
    ".htm": "html",
}


class Recorder:
    """Gathers what a report says; give its `show` to a build as `on_event`."""

    def __init__(self) -> None:
        self._steps: dict[int, ReportStep] = {}
        self._warnings: list[Warned] = []
        self._planned: StagesPlanned | None = None
        self._end: BuildFinished | None = None
        self._error: BuilderError | None = None

    def show(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, StepStarted):
            self._steps[event.step] = ReportStep(
                step=event.step,
                title=event.title,
                stage=event.stage,
                line=event.line,
                of=event.of,
                started=event.time,
            )
        elif isinstance(event, StepFinished):
            begun = self._steps[event.step]
            self._steps[event.step] = replace(
                begun,
                started=max(begun.started, event.time - event.seconds),  # later where it waited for others
                outcome=event.outcome,
                seconds=event.seconds,
                saved=event.saved,
                size=event.size,
                key=event.key,
                state=event.state,
                reasons=event.reasons,
                error=event.error,
                same=event.same,
                origin=event.origin,
            )
        elif isinstance(event, Warned):
            self._warnings.append(event)
        elif isinstance(event, StagesPlanned):
            self._planned = event
        elif isinstance(event, BuildFinished):
            self._end = event

    def failed(self, error: BuilderError) -> None:
        """Take note of why there is no result."""
        self._error = error

    def report(self) -> Report:
        """What is known by now; after the build's end, all of it."""
        end, planned = self._end, self._planned
        found = Report(
            ok=end is not None and end.ok,
            file=planned.file if planned else "",
            stages=planned.stages if planned else (),
            steps=tuple(self._steps.values()),
            warnings=tuple(self._warnings),
            error=error_object(self._error) if self._error else None,
        )
        if end is None:
            return found
        return replace(
            found,
            started=end.time - end.seconds,
            seconds=end.seconds,
            build=end.build,
            image=end.image,
            names=end.names,
            layers=end.layers,
            traffic=end.traffic,
            conditions=end.conditions,
        )

    def write(
        self,
        path: str,
        form: str | None = None,
        *,
        trend: Trend | None = None,
        stdout: BinaryIO | None = None,
    ) -> None:
        """Write the report to a file, which appears whole (`-` is `stdout`); a `BuilderError` if that cannot be.

        `form` is one of `FORMATS`; without it the file's extension says. `trend` is what an HTML page shows of earlier builds.
        """
        write_report(self.report(), path, form, trend=trend, stdout=stdout)


def write_report(
    report: Report,
    path: str,
    form: str | None = None,
    *,
    trend: Trend | None = None,
    advised: Advised | None = None,
    stdout: BinaryIO | None = None,
) -> None:
    """Write a report to a file; see `Recorder.write`."""
    # Late: few builds write one.
    from builder.output.destination import open_destination

    text = render(report, form or form_of(path), trend=trend, advised=advised)
    with open_destination(path, stdout) as stream:
        stream.write(text.encode("utf-8", "backslashreplace"))


def form_of(path: str) -> str:
    """The format that a file's extension asks for."""
    extension = os.path.splitext(path)[1].lower()
    if extension not in _EXTENSIONS:
        raise UsageError(
            f'the name "{path}" does not say what kind of report it is to be',
            hint=f"end it in {', '.join(_EXTENSIONS)}, or write type={'|'.join(FORMATS)},dest={path}",
        )
    return _EXTENSIONS[extension]


def render(report: Report, form: str, *, trend: Trend | None = None, advised: Advised | None = None) -> str:
    """A report as the text of one of `FORMATS`; `trend` and `advised` are what an HTML page shows beside it."""
    # Each is imported by who wants it.
    if form == "json":
        import json

        from builder.report.document import report_object

        return json.dumps(report_object(report), indent=2) + "\n"
    if form == "markdown":
        from builder.report.markdown import render_markdown

        return render_markdown(report)
    if form == "junit":
        from builder.report.junit import render_junit

        return render_junit(report)
    if form == "github":
        from builder.report.github import render_github

        return render_github(report)
    if form == "html":
        from builder.report.html import render_html

        return render_html(report, trend, advised)
    raise UsageError(f'there is no report type "{form}"', hint=f"use one of {', '.join(FORMATS)}")
