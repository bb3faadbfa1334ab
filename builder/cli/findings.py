"""Findings in the forms that `pybuild check` writes: for people, as BuildKit's JSON, SARIF, and GitHub annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from builder.buildfile.syntax import Span
from builder.errors import BuildFileError, Location
from builder.lint.finding import ERROR, INFO, STYLE, Finding
from builder.value import dataclass

_LEVELS = {INFO: "note", STYLE: "note"}
_COMMANDS = {ERROR: "error", INFO: "notice", STYLE: "notice"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, slots=True)
class Checked:
    """A file and what was found in it. `errors` are why it cannot be built, `notes` what could not be checked."""

    name: str
    text: bytes
    lines: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    errors: tuple[BuildFileError, ...] = ()
    notes: tuple[str, ...] = ()


def excerpt(lines: tuple[str, ...], span: Span) -> Iterator[str]:
    """The first line of a span with carets below its words."""
    from builder.cli.message import marked_line

    source = lines[span.line - 1] if 0 < span.line <= len(lines) else ""
    if source.strip():
        end = span.end_column if span.end_line == span.line else len(source) + 1
        yield from marked_line(Location("", span.line, span.column, max(1, end - span.column), source))


def as_text(checked: Checked) -> str:
    """For people: where, what, the words, the page; at the end how many there are."""
    from builder.cli.message import error_text
    from builder.report.harmless import harmless

    out = [error_text(error) for error in checked.errors]
    for finding in checked.findings:
        span = finding.span
        place = harmless(f"{checked.name}:{span.line}:{span.column}")
        out.append(f"{place}: {finding.severity}: {finding.rule}: {harmless(finding.message)}\n")
        out += [f"{line}\n" for line in excerpt(checked.lines, span)]
        if finding.url:
            out.append(f"  see {finding.url}\n")
    if out:
        out.append("\n")
    out += [f"note: {note}\n" for note in checked.notes]
    out.append(f"{summary(checked)}\n")
    return "".join(out)


def summary(checked: Checked) -> str:
    """How many findings there are, by severity."""
    from builder.report.harmless import harmless

    counts: dict[str, int] = {}
    for _ in checked.errors:
        counts["error"] = counts.get("error", 0) + 1
    for finding in checked.findings:
        counts[finding.severity] = counts.get(finding.severity, 0) + 1
    if not counts:
        return f"{harmless(checked.name)}: nothing found"
    plural = {"error": "errors", "warning": "warnings", "info": "infos", "style": "style remarks"}
    single = {"style": "style remark"}
    parts = [
        f"{counts[kind]} {single.get(kind, kind) if counts[kind] == 1 else plural[kind]}"
        for kind in plural
        if kind in counts
    ]
    return f"{harmless(checked.name)}: {', '.join(parts)}"


# --- JSON, with the fields of BuildKit's frontend.lint ---


def as_json(checked: Checked) -> str:
    """What `docker build --call=check,format=json` writes; `severity`, `span`, `errors` and `notes` come on top."""
    import json
    from base64 import b64encode

    document: dict[str, Any] = {
        "warnings": [_warning(finding) for finding in checked.findings],
        "sources": [
            {
                "filename": checked.name,
                "language": "Dockerfile",
                "data": b64encode(checked.text).decode("ascii"),
            }
        ],
    }
    if checked.errors:
        first = checked.errors[0]
        line = first.location.line if first.location else 0
        document["buildError"] = {
            "message": first.message,
            "location": _location((line, line) if line else None),
        }
        document["errors"] = [_error(error) for error in checked.errors]
    if checked.notes:
        document["notes"] = list(checked.notes)
    return json.dumps(document, indent=2) + "\n"


def _warning(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = {"ruleName": finding.rule, "description": finding.description}
    if finding.url:
        found["url"] = finding.url
    span = finding.span
    return found | {
        "detail": finding.message,
        "location": _location(finding.lines),
        "severity": finding.severity,
        "span": {
            "line": span.line,
            "column": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        },
    }


def _location(lines: tuple[int, int] | None) -> dict[str, Any]:
    if lines is None:
        return {}
    return {
        "ranges": [
            {"start": {"line": number}, "end": {"line": number}} for number in range(lines[0], lines[1] + 1)
        ]
    }


def _error(error: BuildFileError) -> dict[str, Any]:
    place = error.location
    return {
        "message": error.message,
        "hint": error.hint,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }


# --- SARIF 2.1.0 ---


def as_sarif(checked: Checked) -> str:
    """A log with one run, for code scanning."""
    import json

    from builder import __version__

    names = list(dict.fromkeys(finding.rule for finding in checked.findings))
    uri = _uri(checked.name)
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": names.index(finding.rule),
            "level": _LEVELS.get(finding.severity, finding.severity),
            "message": {"text": finding.message},
            "locations": [_physical(uri, _region(finding.span))],
        }
        for finding in checked.findings
    ]
    results += [
        {
            "ruleId": "ParseError",
            "level": "error",
            "message": {"text": error.message + (f" ({error.hint})" if error.hint else "")},
            "locations": [_physical(uri, _error_region(error))],
        }
        for error in checked.errors
    ]
    first = {finding.rule: finding for finding in reversed(checked.findings)}
    run = {
        "tool": {
            "driver": {
                "name": "pybuild",
                "version": __version__,
                "rules": [_sarif_rule(first[name]) for name in names],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _sarif_rule(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": finding.rule,
        "shortDescription": {"text": finding.description},
        "defaultConfiguration": {"level": _LEVELS.get(finding.severity, finding.severity)},
    }
    if finding.url:
        found["helpUri"] = finding.url
    return found


def _physical(uri: str, region: dict[str, int] | None) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if region:
        place["region"] = region
    return {"physicalLocation": place}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _error_region(error: BuildFileError) -> dict[str, int] | None:
    place = error.location
    if place is None or place.line < 1:
        return None
    return _region(Span(place.line, place.column, place.line, place.column + max(place.width, 1)))


def _uri(name: str) -> str:
    """A path as a relative or file URI."""
    from urllib.parse import quote

    path = quote(name.encode("utf-8", "surrogateescape"))
    return f"file://{path}" if name.startswith("/") else path.removeprefix("./")


# --- GitHub ---


def as_github(checked: Checked) -> str:
    """Workflow commands, which GitHub shows at the lines of a change."""
    lines = []
    for error in checked.errors:
        place = error.location
        span = Span(place.line, place.column, place.line, place.column + place.width) if place else None
        text = error.message + (f"\nhint: {error.hint}" if error.hint else "")
        lines.append(_annotation("error", checked.name, span, "ParseError", text))
    for finding in checked.findings:
        text = finding.message + (f"\n{finding.url}" if finding.url else "")
        kind = _COMMANDS.get(finding.severity, "warning")
        lines.append(_annotation(kind, checked.name, finding.span, finding.rule, text))
    return "".join(lines)


def _annotation(kind: str, name: str, span: Span | None, title: str, text: str) -> str:
    from builder.report.harmless import harmless

    properties = {"file": harmless(name)}
    if span is not None:
        properties |= {"line": str(span.line), "endLine": str(span.end_line)}
        if span.line == span.end_line:  # columns count within one line only
            properties |= {"col": str(span.column), "endColumn": str(max(span.end_column - 1, span.column))}
    properties["title"] = title
    clean = "\n".join(harmless(line) for line in text.split("\n"))
    listed = ",".join(f"{key}={_escaped(value, in_property=True)}" for key, value in properties.items())
    return f"::{kind} {listed}::{_escaped(clean)}\n"


def _escaped(text: str, *, in_property: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if in_property else text


FORMATS: dict[str, Callable[[Checked], str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
}
