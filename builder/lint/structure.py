"""BuildKit's rules on how a file is written: casing, names of stages, forms of instructions, comments."""

from __future__ import annotations

from collections.abc import Iterator

from builder.buildfile import syntax
from builder.buildfile.syntax import Arg, From, Instruction, ShellForm, Span
from builder.lint.finding import Hit
from builder.lint.places import Source, keyword_of, keyword_span
from builder.lint.walk import Facts, Stage

_RESERVED = ("context", "scratch")
_USED_ONCE = (syntax.Cmd, syntax.Entrypoint, syntax.Healthcheck)


def _from_words(facts: Facts, line: From) -> list[tuple[str, Span]]:
    """The words of a FROM line as written, with their places: FROM, flags, image, AS, name."""
    source = Source(facts.file, line, facts.escape)
    found, at = [], 0
    for word in line.source.split():
        at = line.source.index(word, at)
        found.append((word, source.span(at, at + len(word))))
        at += len(word)
    return found


def _instructions(facts: Facts) -> Iterator[Instruction]:
    """All instructions of all stages, each FROM before those of its stage."""
    for stage in facts.stages:
        yield stage.line
        yield from stage.instructions


def stage_name_casing(facts: Facts) -> Iterator[Hit]:
    """StageNameCasing."""
    for stage in facts.stages:
        if stage.line.name:
            name, span = _from_words(facts, stage.line)[-1]
            if name != name.lower():
                yield Hit(stage.line, span, f"Stage name '{name}' should be lowercase")


def from_as_casing(facts: Facts) -> Iterator[Hit]:
    """FromAsCasing; a FROM that is itself of mixed case is ConsistentInstructionCasing's."""
    for stage in facts.stages:
        if not stage.line.name:
            continue
        words = _from_words(facts, stage.line)
        keyword, (mark, span) = words[0][0], words[-2]
        wanted = (
            mark.lower()
            if keyword == keyword.lower()
            else mark.upper()
            if keyword == keyword.upper()
            else mark
        )
        if mark != wanted:
            yield Hit(stage.line, span, f"'{mark}' and '{keyword}' keywords' casing do not match")


def no_empty_continuation(facts: Facts) -> Iterator[Hit]:
    """NoEmptyContinuation: once for an instruction, at its first empty line."""
    empty = sorted(
        (span for message, span in facts.file.warnings if message == syntax.EMPTY_LINE),
        key=lambda span: span.line,
    )
    if not empty:
        return
    at = 0
    for line in facts.file.instructions:
        while at < len(empty) and empty[at].line <= line.span.line:
            at += 1
        if at < len(empty) and empty[at].line <= line.span.end_line:
            yield Hit(line, empty[at], "Empty continuation line")


def consistent_instruction_casing(facts: Facts) -> Iterator[Hit]:
    """ConsistentInstructionCasing: the majority of those that are of one case decides, capitals if there is none."""
    lines = list(_instructions(facts))
    names = [keyword_of(line) for line in lines]
    lower = sum(name == name.lower() for name in names)
    upper = sum(name == name.upper() for name in names)
    for line, name in zip(lines, names, strict=True):
        wanted, casing = (name.lower(), "lowercase") if lower > upper else (name.upper(), "uppercase")
        if name != wanted:
            message = f"Command '{name}' should match the case of the command majority ({casing})"
            yield Hit(line, keyword_span(line), message)


def duplicate_stage_name(facts: Facts) -> Iterator[Hit]:
    """DuplicateStageName."""
    seen = set()
    for stage in facts.stages:
        name = stage.line.name
        if name and name in seen:
            span = _from_words(facts, stage.line)[-1][1]
            yield Hit(stage.line, span, f"Duplicate stage name {quoted(name)}, stage names should be unique")
        seen.add(name)


def reserved_stage_name(facts: Facts) -> Iterator[Hit]:
    """ReservedStageName."""
    for stage in facts.stages:
        name = stage.line.name
        if name in _RESERVED:
            span = _from_words(facts, stage.line)[-1][1]
            message = f"Stage name should not use the same name as reserved stage {quoted(name or '')}"
            yield Hit(stage.line, span, message)


def json_args_recommended(facts: Facts) -> Iterator[Hit]:
    """JSONArgsRecommended: not where SHELL is set, here or in the base."""
    for visit in facts.carried_out:
        line = visit.line
        if (
            isinstance(line, syntax.Cmd | syntax.Entrypoint)
            and isinstance(line.command, ShellForm)
            and not visit.shell
        ):
            message = f"JSON arguments recommended for {keyword_of(line)} to prevent unintended behavior related to OS signals"
            yield Hit(line, line.span, message)


def maintainer_deprecated(facts: Facts) -> Iterator[Hit]:
    """MaintainerDeprecated."""
    for line in facts.file.instructions:
        if isinstance(line, syntax.Maintainer):
            yield Hit(line, line.span, "Maintainer instruction is deprecated in favor of using label")


def multiple_instructions_disallowed(facts: Facts) -> Iterator[Hit]:
    """MultipleInstructionsDisallowed: reported where the one that has no effect stands."""
    last: dict[type, Instruction] = {}
    stage: Stage | None = None
    for visit in facts.carried_out:
        line = visit.line
        if visit.stage is not stage:
            stage, last = visit.stage, {}
        if isinstance(line, _USED_ONCE):
            before = last.get(type(line))
            if before is not None:
                message = (
                    f"Multiple {keyword_of(line)} instructions should not be used in the same stage"
                    " because only the last one will be used"
                )
                yield Hit(before, before.span, message, also=line)
            last[type(line)] = line


def legacy_key_value_format(facts: Facts) -> Iterator[Hit]:
    """LegacyKeyValueFormat."""
    for visit in facts.carried_out:
        line = visit.line
        if isinstance(line, syntax.Env | syntax.Label) and line.legacy:
            name = keyword_of(line)
            message = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
            yield Hit(line, line.span, message)


def invalid_definition_description(facts: Facts) -> Iterator[Hit]:
    """InvalidDefinitionDescription: the last comment above FROM … AS or ARG begins with what it describes."""
    for line in facts.file.instructions:
        names: tuple[str, ...] = ()
        if isinstance(line, From):
            kind, names = "FROM", (line.name,) if line.name else ()
        elif isinstance(line, Arg):
            kind, names = "ARG", tuple(item.name for item in line.items)
        comments = facts.comments.above(line) if names else ()
        if comments and comments[-1].split(" ")[0] not in names:
            name = names[0] if len(names) == 1 else "<arg_key>"
            message = f"Comment for {kind} should follow the format: `# {name} <description>`"
            yield Hit(line, keyword_span(line), message)


def quoted(text: str) -> str:
    """A text in double quotes, what does not print and quotes escaped."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    import json

    return json.dumps(text, ensure_ascii=False)
