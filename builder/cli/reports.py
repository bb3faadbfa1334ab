"""`--report`: which reports are wanted of a build, and where they go."""

from __future__ import annotations

import sys

from builder.cli.surroundings import Surroundings
from builder.errors import BuilderError, UsageError
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.report.advice import Advised
    from builder.report.document import Report
    from builder.report.trend import Trend

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file which GitHub shows with a job; Markdown is appended to it."""
_STANDARD_ERROR = ""


@dataclass(frozen=True, slots=True)
class ReportFile:
    """One report: its format, and its file (`-` is standard output, empty is standard error).

    `append` adds to the file instead of replacing it; `asked` tells whether the command line asked for it.
    """

    form: str
    dest: str
    append: bool = False
    asked: bool = True


def parse_reports(texts: Iterable[str], around: Surroundings) -> tuple[ReportFile, ...]:
    """Read all `--report` flags: a file whose extension says the format, or `type=…[,dest=FILE]`.

    Where the environment names a summary, it gets Markdown too.
    """
    summary = around.setting(SUMMARY)
    found = [_parse(text, summary) for text in texts]
    places = [report.dest for report in found if report.dest not in (_STANDARD_ERROR, "-")]
    for place in places:
        if places.count(place) > 1:
            raise UsageError(f'two reports go to "{place}"', hint="give each its own file")
    if summary and not any(report.dest == summary for report in found):
        found.append(ReportFile("markdown", summary, append=True, asked=False))
    return tuple(found)


def _parse(text: str, summary: str | None) -> ReportFile:
    # Late: few builds write a report.
    from builder.cli.values import choice, fields
    from builder.report.reportfile import FORMATS, form_of

    parts = fields("--report", text)
    if len(parts) == 1 and "=" not in parts[0]:
        if not parts[0]:
            raise UsageError("--report is empty", hint="for example --report report.html")
        return ReportFile("json", "-") if parts[0] == "-" else ReportFile(form_of(parts[0]), parts[0])
    given: dict[str, str] = {}
    for part in parts:
        key, mark, value = part.partition("=")
        if not mark or key not in ("type", "dest"):
            raise UsageError(
                f'--report: "{part}" is neither type= nor dest=', hint="for example type=html,dest=FILE"
            )
        given[key] = value
    dest = given.get("dest") or None
    if "type" not in given:
        return ReportFile(form_of(dest or ""), dest or "")
    form = choice("--report", given["type"], FORMATS)
    if dest is not None:
        return ReportFile(form, dest)
    if form == "github":  # GitHub reads both streams, and an id on standard output stays alone
        return ReportFile(form, _STANDARD_ERROR)
    if form == "markdown" and summary:
        return ReportFile(form, summary, append=True)
    return ReportFile(form, "-")


def named_files(reports: Iterable[ReportFile]) -> list[str]:
    """The files of reports that the command line names."""
    return [report.dest for report in reports if report.asked and report.dest not in (_STANDARD_ERROR, "-")]


def write_reports(
    report: Report,
    reports: Iterable[ReportFile],
    around: Surroundings,
    *,
    store: str = "",
    trend: Trend | None = None,
    advised: Advised | None = None,
) -> None:
    """Write a build's report to all places; raises what went wrong with the first that was asked for, after the others."""
    failure: BuilderError | None = None
    for wanted in reports:
        try:
            if wanted.form == "html" and trend is None and store:
                trend = _trend(report, around, store)
            _write(report, wanted, around, trend, advised)
        except BuilderError as error:
            if wanted.asked:
                failure = failure or error
            else:
                around.err.write(f"warning: {error.message}\n")
    if failure is not None:
        raise failure


def _write(
    report: Report,
    wanted: ReportFile,
    around: Surroundings,
    trend: Trend | None,
    advised: Advised | None,
) -> None:
    from builder.report.reportfile import render, write_report

    if wanted.dest == _STANDARD_ERROR:
        around.err.write(render(report, wanted.form, trend=trend, advised=advised))
        around.err.flush()
    elif wanted.append:
        data = render(report, wanted.form).encode("utf-8", "backslashreplace")
        try:
            with open(wanted.dest, "ab") as stream:
                stream.write(data)
        except OSError as error:
            raise BuilderError(f'cannot write "{wanted.dest}": {error.strerror}') from None
    else:
        write_report(report, wanted.dest, wanted.form, trend=trend, advised=advised, stdout=sys.stdout.buffer)


def _trend(report: Report, around: Surroundings, store: str) -> Trend | None:
    """What builds of its kind were like before; nothing if the store cannot be read."""
    from builder.report.trend import trend_of

    if not report.build:
        return None
    try:
        with around.open_store(store) as opened:
            return trend_of(opened, report.build)
    except BuilderError:
        return None
