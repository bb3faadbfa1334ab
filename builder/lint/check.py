"""The entry: apply rules to a build file, leave out what comments and options skip."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from builder.buildfile.ignorefile import IgnoreRule
from builder.buildfile.syntax import BuildFile, Instruction
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.lint.finding import Finding, Hit, Rule
from builder.lint.options import CheckOptions, LintOptions, check_options
from builder.lint.places import Source
from builder.lint.walk import Facts
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Warnings:
    """What an ordinary build has to say: the findings, and whether they shall make it fail (`error=true`)."""

    findings: tuple[Finding, ...]
    fail: bool


def build_warnings(
    file: BuildFile,
    *,
    build_args: Mapping[str, str] | None = None,
    target: str | None = None,
    stages: Collection[int] | None = None,
    platform: Platform | None = None,
    build_platform: Platform | None = None,
    bases: Mapping[str, ImageConfig] | None = None,
    named_contexts: Collection[str] = (),
    ignore: tuple[IgnoreRule, ...] = (),
) -> Warnings:
    """BuildKit's rules, as a build applies them; see `LintOptions` for the arguments.

    `stages` are those that the target needs. Raises `BuildFileError` or `UsageError` if the check options of the
    file or of the build argument BUILDKIT_DOCKERFILE_CHECK cannot be read.
    """
    from builder.lint.buildkit import RULES

    options = LintOptions(
        build_args=build_args or {},
        target=target,
        stages=None if stages is None else frozenset(stages),
        platform=platform,
        build_platform=build_platform,
        bases=bases or {},
        named_contexts=frozenset(named_contexts),
        ignore=ignore,
    )
    chosen = check_options(file, options.build_args)
    findings = apply_rules(RULES, Facts(file, options), chosen)
    return Warnings(findings, chosen.error and bool(findings))


def violation(findings: Sequence[Finding]) -> str:
    """What a build says that fails because of findings."""
    return f"lint violation found for rules: {', '.join(sorted({finding.rule for finding in findings}))}"


def apply_rules(rules: Sequence[Rule], facts: Facts, chosen: CheckOptions) -> tuple[Finding, ...]:
    """The findings of rules, in the order of lines, without those that are skipped."""
    return findings_of(((rule, hit) for rule in rules for hit in rule.check(facts)), facts, chosen)


def findings_of(hits: Iterable[tuple[Rule, Hit]], facts: Facts, chosen: CheckOptions) -> tuple[Finding, ...]:
    """What rules have found, in the order of lines, without what is skipped."""
    found = [_finding(rule, hit, facts) for rule, hit in hits if _applies(rule, hit, facts, chosen)]
    found.sort(key=lambda finding: (finding.lines[0], finding.span.line))
    return tuple(found)


def _applies(rule: Rule, hit: Hit, facts: Facts, chosen: CheckOptions) -> bool:
    name, comments, options = rule.name, facts.comments, facts.options
    if name in options.skip or name in comments.everywhere or (options.only and name not in options.only):
        return False
    lines = [place for line in (hit.line, hit.also) if line is not None for place in _written(line, facts)]
    here = [comments.skips(line) for line in lines]
    if rule.experimental and name not in options.only:
        asked = [chosen, *(skips.check for skips in here)]
        return any(item.experimental_all or name in item.experimental for item in asked)
    if name in options.only:
        return all(name not in skips.names for skips in here)
    if chosen.skip_all or name in chosen.skip:
        return False
    return not any(skips.all or name in skips.names for skips in here)


def _written(line: Instruction, facts: Facts) -> tuple[Instruction, ...]:
    """The lines of the file whose comments count for an instruction: for a trigger the ONBUILD and the FROM."""
    trigger = facts.trigger_of(line)
    if trigger is None:
        return (line,)
    return (trigger.line,) if trigger.onbuild is None else (trigger.line, trigger.onbuild)


def _finding(rule: Rule, hit: Hit, facts: Facts) -> Finding:
    """Of a trigger BuildKit reports the line of the FROM that it belongs to; its words are marked where they stand."""
    span, message, line = hit.span, hit.message, hit.line
    trigger = facts.trigger_of(line)
    if trigger is not None:
        line = trigger.line
        if trigger.onbuild is None:
            span, message = trigger.line.image.span, f"in a trigger of the base: {message}"
    return Finding(rule.name, rule.severity, message, rule.summary, rule.url, span, _lines(rule, line, facts))


def _lines(rule: Rule, line: Instruction, facts: Facts) -> tuple[int, int]:
    """The lines that BuildKit reports: those of the instruction; of an empty line the one where the text ends."""
    if rule.name == "NoEmptyContinuation":
        end = Source(facts.file, line, facts.escape).end_line
        return end, end
    return line.span.line, line.span.end_line
