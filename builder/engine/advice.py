"""What the checks say about the build file of a build: warnings, or an error where the file asks for that."""

from __future__ import annotations

import json

from builder.buildfile.syntax import Span
from builder.digest import digest_of
from builder.engine.contexts import ignore_rules
from builder.engine.session import Session
from builder.errors import BuildFileError
from builder.graph.places import locate
from builder.graph.stages import ContextBase, ImageBase
from builder.image.config import ImageConfig

# Raised when rules change, so that no findings of older ones are told.
_VERSION = 4


def give_advice(session: Session) -> None:
    """Warn of what BuildKit's rules find; with `# check=error=true` that is a `BuildFileError`.

    What they found is kept like the syntax tree: a build whose file, arguments and bases are as before asks no rule.
    """
    file = session.graph.file
    findings, violation = _findings(session)
    for rule, message, span in findings:
        session.events.warn(f"{rule}: {message}", f"{file.name}:{span[0]}")
    if violation:
        raise BuildFileError(
            violation,
            location=locate(file, Span(*findings[0][2])),
            hint="`pybuild check` says more; `# check=error=true` of the file makes it an error",
        )


_Findings = tuple[list[tuple[str, str, list[int]]], str]


def _findings(session: Session) -> _Findings:
    graph, request, source = session.graph, session.request, session.inputs.folders[""]
    rules = ignore_rules(source.path, source.ignore_file)[1] if source.local else ()
    bases = _bases(session)
    seen = [
        *(_VERSION, graph.file.lines, sorted(graph.build_args.items()), request.target, str(graph.platform)),
        *([rule.text for rule in rules], repr(bases), sorted(request.build_contexts)),
    ]
    key = digest_of(json.dumps(seen).encode())
    kept = session.store.get_parsed(key)
    found = _read(kept) if kept is not None else None
    if found is None:
        # Late: most builds find their advice kept.
        from builder.lint.check import build_warnings, violation

        warnings = build_warnings(
            graph.file,
            build_args=graph.build_args,
            target=request.target,
            stages=graph.needed,
            platform=graph.platform,
            build_platform=graph.build_platform,
            bases=bases,
            named_contexts=tuple(request.build_contexts),
            ignore=rules,
        )
        rows = [
            (one.rule, one.message, [one.span.line, one.span.column, one.span.end_line, one.span.end_column])
            for one in warnings.findings
        ]
        found = rows, violation(warnings.findings) if warnings.fail else ""
        session.store.put_parsed(key, json.dumps(found))
    return found


def _read(kept: str) -> _Findings | None:
    """What was kept; None for what nobody of this program wrote."""
    try:
        rows, violation = json.loads(kept)
        found = [(str(rule), str(message), [int(number) for number in span]) for rule, message, span in rows]
        return (found, str(violation)) if all(len(span) == 4 for _, _, span in found) else None
    except (ValueError, TypeError):
        return None


def _bases(session: Session) -> dict[str, ImageConfig]:
    """The configs of bases that are known by now, by their names in the file."""
    stages = session.graph.stages
    return {
        stages[index].base_text: made
        for index in session.graph.needed
        if isinstance(stages[index].base, ImageBase | ContextBase)
        and (made := session.plans.base_of(index)) is not None
    }
