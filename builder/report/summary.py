"""The table at the end of a build: every step, hit or miss, why it missed, its time and size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from builder.events import BuildFinished, Outcome, StepFinished
from builder.report.harmless import harmless
from builder.report.text import counted, human, seconds

_TITLE = 60
_NARROWEST = 20
# What the columns between title and reason take.
_OTHERS = 32
# Reasons of one step that are listed, each cut to so many characters; the report file has all of them.
_REASONS = 5
_WHY = 160
SAME = "same result as before: no later step is rebuilt for it"
_HEAD = ("step", "result", "time", "size", "why")


def render_summary(
    steps: Sequence[tuple[str, StepFinished]], end: BuildFinished, *, width: int | None = None
) -> str:
    """The table and a line that counts, without a last line end. `width` is that of the terminal, if there is one."""
    lines = [*_table(steps, width), ""] if steps else []
    lines.append(totals(steps, end))
    if end.image:
        named = f"  {', '.join(harmless(name) for name in end.names)}" if end.names else ""
        lines.append(f"image: {end.image}{named}")
    return "\n".join(lines)


def totals(steps: Sequence[tuple[str, StepFinished]], end: BuildFinished) -> str:
    """One line: how many steps hit and missed, the time that took and the time that hits saved."""
    outcomes = [step.outcome for _, step in steps]
    hits, misses = outcomes.count(Outcome.HIT), outcomes.count(Outcome.MISS)
    counts = [counted(hits, "hit"), counted(misses, "miss", "es")]
    if failed := outcomes.count(Outcome.FAILED):
        counts.append(f"{failed} failed")
    if cancelled := outcomes.count(Outcome.CANCELLED):
        counts.append(f"{cancelled} cancelled")
    saved = sum(step.saved for _, step in steps)
    spared = f" (saved {seconds(saved)})" if saved >= 0.05 else ""
    number = hits + misses + failed + cancelled
    return f"{'done' if end.ok else 'failed'}: {counted(number, 'step')}: {', '.join(counts)}, {seconds(end.seconds)}{spared}"


def _table(steps: Sequence[tuple[str, StepFinished]], width: int | None) -> Iterator[str]:
    # A narrow window shows less of the titles, so that the reasons have room too.
    room = _TITLE if width is None else min(_TITLE, max(_NARROWEST, (width - _OTHERS) // 2))
    rows = [_HEAD, *(row for title, step in steps for row in _rows(title, step, room))]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for title, result, time, size, why in rows:
        line = f" {title:<{widths[0]}}  {result:<{widths[1]}}  {time:>{widths[2]}}  {size:>{widths[3]}}  {why}".rstrip()
        yield line if width is None else shorten(line, width)


def _rows(title: str, step: StepFinished, room: int) -> Iterator[tuple[str, str, str, str, str]]:
    """A step's row, and one below it for each further reason."""
    first, *others = list(_why(step)) or [""]
    size = human(step.size) if step.size else ""
    yield shorten(one_line(title), room), step.outcome.value, seconds(step.seconds), size, first
    for reason in others:
        yield "", "", "", "", reason


def _why(step: StepFinished) -> Iterator[str]:
    if step.outcome is Outcome.FAILED:
        yield shorten(one_line(step.error), _WHY)
        return
    if step.same:
        yield SAME
    if step.origin:
        yield shorten(f"from {one_line(step.origin)}", _WHY)
    listed = step.reasons if len(step.reasons) <= _REASONS else step.reasons[: _REASONS - 1]
    for reason in listed:
        yield shorten(one_line(reason.detail or reason.part or reason.kind), _WHY)
    if more := len(step.reasons) - len(listed):
        yield f"and {more} more"


def one_line(text: str) -> str:
    """Text without line ends, runs of blanks and control sequences."""
    return harmless(" ".join(text.split()))


def shorten(text: str, width: int) -> str:
    """Text cut to so many characters, the cut marked."""
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"
