"""Comments that control how one step is cached: `# pybuild: cache=never`, `expires=24h`, `recheck="command"`.

They stand above an instruction. Other builders take them for the comments that they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from builder.buildfile.durations import parse_duration
from builder.buildfile.line import nearest
from builder.buildfile.lines import LogicalLine, Source
from builder.buildfile.syntax import Copy, Instruction, Run, Span, StepControl, Workdir
from builder.errors import BuildFileError

_COMMENT = re.compile(r"[\s\x85]*#[ \t]*pybuild[ \t]*:")
_ITEM = re.compile(
    r'(?P<name>[^\s="]+)(?:[ \t]*(?P<mark>=)[ \t]*(?P<value>"(?:[^"\\]|\\.)*"(?=\s|\Z)|[^\s"]+(?=\s|\Z)|))?'
)
_NAMES = ("cache", "expires", "recheck")
_LONG = re.compile(r"(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?(.*)\Z", re.DOTALL)
_DAY = 86400
_HINT = 'write # pybuild: cache=never, expires=24h or recheck="command"'


def find_controls(
    source: Source, instructions: Sequence[Instruction], errors: list[BuildFileError]
) -> tuple[StepControl, ...]:
    """The controls of all instructions, one for each logical line of the source; mistakes go into `errors`."""
    if not any("pybuild" in line for line in source.lines):
        return ()
    found: list[StepControl] = []
    begin = len(source.directives)
    for index, (logical, instruction) in enumerate(zip(source.logical, instructions, strict=True)):
        mine: dict[str, StepControl] = {}
        for number in range(begin, logical.line - 1):
            for name, value, span in _read(source, number + 1, errors):
                error = _problem(source, instruction, name, value, span, mine)
                if error is not None:
                    errors.append(error)
                else:
                    mine[name] = StepControl(index, name, value, span)
        found += mine.values()
        _refuse_inside(source, logical, errors)
        begin = logical.heredocs[-1].end_line if logical.heredocs else logical.end_line
    for number in range(begin, len(source.lines)):
        match = _COMMENT.match(source.lines[number])
        if match is not None:
            errors.append(
                source.error(
                    "this comment stands above no instruction",
                    _whole(source, number + 1),
                    "put it right above the RUN, COPY, ADD or WORKDIR that it is for",
                )
            )
    return tuple(found)


def _refuse_inside(source: Source, logical: LogicalLine, errors: list[BuildFileError]) -> None:
    """A comment between the lines of one instruction is not above it."""
    errors += [
        source.error(
            "this comment stands inside an instruction", _whole(source, number), "put it above its first line"
        )
        for number in range(logical.line + 1, logical.end_line + 1)
        if _COMMENT.match(source.lines[number - 1])
    ]


def _whole(source: Source, line: int) -> Span:
    text = source.lines[line - 1]
    start = len(text) - len(text.lstrip())
    return Span(line, start + 1, line, max(len(text.rstrip()), start + 1) + 1)


def _read(source: Source, line: int, errors: list[BuildFileError]) -> Iterator[tuple[str, str, Span]]:
    """The settings of one comment: name, value without quotes, and where they stand."""
    text = source.lines[line - 1].rstrip()
    match = _COMMENT.match(text)
    if match is None:
        return
    at = match.end()
    count = 0
    while True:
        while at < len(text) and text[at] in " \t":
            at += 1
        if at >= len(text):
            break
        item = _ITEM.match(text, at)
        value = item["value"] if item is not None else None
        span = Span(line, at + 1, line, (item.end() if item is not None else len(text)) + 1)
        quoted = item is not None and item["mark"] and not value and text[item.end() : item.end() + 1] == '"'
        if item is None or quoted:
            place = Span(line, (item.end() if item is not None else at) + 1, line, len(text) + 1)
            errors.append(
                source.error("a quote is not closed, or text follows it", place, 'write recheck="command"')
            )
            return
        if not value:
            known = f"{item['name']} needs a value" if item["name"] in _NAMES else _unknown(item["name"])
            near = None if item["name"] in _NAMES else nearest(item["name"], _NAMES)
            errors.append(source.error(known, span, f"did you mean {near}=…?" if near else _HINT))
            return
        count += 1
        yield item["name"], _unquoted(value), span
        at = item.end()
    if not count:
        errors.append(source.error("this comment sets nothing", _whole(source, line), _HINT))


def _unknown(name: str) -> str:
    return f"there is no setting {name[:80]!r} of a step"


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1])


def _problem(
    source: Source,
    instruction: Instruction,
    name: str,
    value: str,
    span: Span,
    others: dict[str, StepControl],
) -> BuildFileError | None:
    """What is wrong with a setting, None if nothing is."""
    if name not in _NAMES:
        near = nearest(name, _NAMES)
        return source.error(_unknown(name), span, f"did you mean {near}=…?" if near else _HINT)
    keyword = instruction.keyword if isinstance(instruction, Copy) else type(instruction).__name__.upper()
    if not isinstance(instruction, Run | Copy | Workdir):
        return source.error(
            f"{name}= stands above {keyword}, which is no step that is cached",
            span,
            "put it right above the RUN, COPY, ADD or WORKDIR that it is for",
        )
    if name == "recheck" and not isinstance(instruction, Run):
        return source.error(f"recheck= stands above {keyword}, but only RUN has it", span, "use expires=")
    if name in others:
        return source.error(f"{name}= is given twice", span, f"line {others[name].span.line} has it already")
    if name == "cache" and value != "never":
        return source.error(f"cache={value[:80]} means nothing", span, "write cache=never")
    if name == "expires" and not expiry(value):
        return source.error(
            f"expires={value[:80]} is no time that can pass", span, "write a time such as 90m, 24h, 7d or 2w"
        )
    if name == "recheck" and not value.strip():
        return source.error("recheck= has no command", span, 'write recheck="command"')
    never = name == "cache" or "cache" in others
    if never and (others or name != "cache"):
        return source.error(
            "cache=never leaves nothing for other settings to decide", span, "leave one of them out"
        )
    return None


def expiry(text: str) -> int:
    """A time such as `90m`, `24h`, `7d`, `1w2d` in whole seconds, at least one; 0 for what is none."""
    match = _LONG.match(text)
    assert match is not None
    weeks, days, rest = match.groups()
    try:
        short = parse_duration(rest) if rest else 0
    except ValueError:
        return 0
    if short < 0:
        return 0
    total = (int(weeks or 0) * 7 + int(days or 0)) * _DAY
    return total + (max(1, short // 10**9) if short else 0)
