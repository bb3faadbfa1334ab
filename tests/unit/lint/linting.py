"""What the tests of rules share: a file's findings as short lines."""

from __future__ import annotations

from builder.buildfile.parse import parse
from builder.image.platform import Platform
from builder.lint.check import apply_rules
from builder.lint.finding import Finding
from builder.lint.options import LintOptions, check_options
from builder.lint.rules import RULES
from builder.lint.walk import Facts

AMD64 = Platform("linux", "amd64")


def findings(text: str, *only: str, **options: object) -> tuple[Finding, ...]:
    file = parse(text.encode(), "Dockerfile")
    chosen = LintOptions(**{"platform": AMD64, "only": frozenset(only), **options})  # type: ignore[arg-type]
    rules = [rule for rule in RULES if rule.default or rule.experimental or rule.name in only]
    return apply_rules(rules, Facts(file, chosen), check_options(file, chosen.build_args))


def marked(text: str, finding: Finding) -> str:
    """The words of the file that a finding marks."""
    span = finding.span
    lines = text.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return "\n".join(lines)


def short(text: str, *only: str, **options: object) -> list[tuple[str, int, str, str]]:
    """Rule, first line of the instruction, marked words, message."""
    return [
        (item.rule, item.lines[0], marked(text, item), item.message)
        for item in findings(text, *only, **options)
    ]
