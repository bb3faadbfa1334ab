"""`pybuild report`: past builds, their trend, and what could be better about them."""

from __future__ import annotations

from builder.cli.command import ISOLATION, STORE, Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from builder.store.store import Store

_FORMATS = ("text", "json", "markdown", "junit", "html", "github")
_LISTED = 20


def run(args: Arguments, around: Surroundings) -> int:
    """List builds, or show one, or their trend; or write reports of one."""
    form = _format(args)
    number = _number(args)
    one = bool(args.words) or args.switch("--last") or bool(args.texts("--report"))
    with around.open_store(args.text("--store"), reading=not args.switch("--advice")) as store:
        if args.switch("--advice") and form != "html" and not args.texts("--report"):
            text = _advice(store, number, form)
        elif args.switch("--trend"):
            text = _trend(store, number, form)
        elif one or form not in ("text", "json"):
            text = _one(args, around, store, number, form)
        else:
            text = _list(args, store, form)
    around.out.write(text)
    return 0


def _format(args: Arguments) -> str:
    from builder.cli import values
    from builder.errors import UsageError

    form = (args.text("--format") or "text").removeprefix("type=")
    values.choice("--format", form, _FORMATS)
    if args.switch("--trend") and form not in ("text", "json"):
        raise UsageError(
            "a trend is written as text or json", hint="an HTML report of a build shows its trend"
        )
    if args.switch("--advice") and form not in ("text", "json", "html"):
        raise UsageError("advice is written as text, json or html")
    if args.switch("--advice") and args.switch("--trend"):
        raise UsageError("--advice and --trend are shown one by one")
    return form


def _number(args: Arguments) -> int | None:
    if not args.words or args.words[0] == "last":
        return None
    from builder.cli import values
    from builder.errors import UsageError

    if args.switch("--last"):
        raise UsageError(f"--last and the build {args.words[0]} cannot both be meant")
    return values.count("BUILD", args.words[0])


def _list(args: Arguments, store: Store, form: str) -> str:
    from builder.cli import values
    from builder.report.listing import builds_document, list_rows

    limit = 0 if args.switch("--all") else values.count("--limit", args.text("--limit")) or _LISTED
    builds = store.history.builds(limit)
    if form == "json":
        return _json(builds_document(builds))
    from builder.cli.table import table

    return table(list_rows(builds), right=frozenset({0, 3, 4, 5, 6}))


def _one(args: Arguments, around: Surroundings, store: Store, number: int | None, form: str) -> str:
    from builder.report.past import past_report

    report = past_report(store, number)
    trend = advised = None
    if form == "html" or args.texts("--report"):
        from builder.report.trend import trend_of

        trend = trend_of(store, report.build)
        if args.switch("--advice"):
            from builder.report.advice import advise

            advised = advise(store, report.build)
    if args.texts("--report"):
        from builder.cli.reports import parse_reports, write_reports

        wanted = [one for one in parse_reports(args.texts("--report"), around) if one.asked]
        write_reports(report, wanted, around, trend=trend, advised=advised)
        return ""
    if form == "text":
        from builder.report.listing import render_report

        return render_report(report, width=_width(around))
    from builder.report.reportfile import render

    return render(report, form, trend=trend, advised=advised)


def _trend(store: Store, number: int | None, form: str) -> str:
    from builder.report.listing import render_trend, trend_document
    from builder.report.trend import trend_of

    trend = trend_of(store, number)
    return _json(trend_document(trend)) if form == "json" else render_trend(trend)


def _advice(store: Store, number: int | None, form: str) -> str:
    from builder.report.advice import advice_document, advise, render_advice

    advised = advise(store, number)
    return _json(advice_document(advised)) if form == "json" else render_advice(advised)


def _width(around: Surroundings) -> int | None:
    if not around.out.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def _json(document: dict[str, Any]) -> str:
    import json

    return json.dumps(document, indent=2) + "\n"


COMMAND = Command(
    name="report",
    usage="[BUILD]",
    flags=(
        Flag("--last", "", "Show the last build"),
        Flag(
            "--trend", "", "Show how builds of its kind went: cache, time, size, and steps that keep missing"
        ),
        Flag(
            "--advice",
            "",
            "Say what made steps miss without need, and which bytes an image carries for nothing",
        ),
        Flag("--format", "FORMAT", "text, json, markdown, junit, html or github (default: text)"),
        Flag(
            "--report",
            "FILE|SPEC",
            "Write a report of the build to a file, as build --report does",
            many=True,
        ),
        Flag("--limit", "N", f"List the last N builds (default: {_LISTED})"),
        Flag("--all", "", "List all builds"),
        ISOLATION,
        STORE,
    ),
    run=run,
    text="Lists the builds of the store's history; BUILD is a number of that list, or `last`.",
    examples=(
        ("pybuild report", "the last builds"),
        ("pybuild report --last", "what the last build did"),
        ("pybuild report 12 --report build.html", "a page about build 12"),
        ("pybuild report --advice", "what could be better about the last build"),
        ("pybuild report --trend", "hit rate, time and size over builds, and which steps keep missing"),
    ),
    fewest=0,
    most=1,
    isolated=True,
    works=lambda args: args.switch("--advice"),
)
