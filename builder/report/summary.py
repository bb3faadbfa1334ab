"""The table at the end of a build: every step, hit or miss, why it missed, its time and size."""

from __future__ import annotations

from collections.abc import Sequence

from builder.events import BuildFinished, Outcome, StepFinished
from builder.report.text import clean, human

_TITLE = 60
_REASONS = 3
_WHY = 100


def why(step: StepFinished) -> str:
    """The reasons of a miss in one line."""
    if step.outcome is Outcome.FAILED:
        return step.error.partition("\n")[0]
    shown = [reason.detail for reason in step.reasons[:_REASONS]]
    more = len(step.reasons) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _shorten(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def render_summary(steps: Sequence[tuple[str, StepFinished]], end: BuildFinished) -> str:
    """The table, and a line that counts."""
    rows = [("step", "result", "time", "size", "why")]
    for title, step in steps:
        size = human(step.size) if step.size else ""
        rows.append(
            (
                _shorten(clean(title), _TITLE),
                step.outcome.value,
                f"{step.seconds:.1f}s",
                size,
                _shorten(clean(why(step)), _WHY),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [""]
    for title, result, time, size, reason in rows:
        line = f" {title:<{widths[0]}}  {result:<{widths[1]}}  {time:>{widths[2]}}  {size:>{widths[3]}}  {reason}"
        lines.append(line.rstrip())
    hits = sum(step.outcome is Outcome.HIT for _, step in steps)
    misses = sum(step.outcome is Outcome.MISS for _, step in steps)
    total = f"{hits + misses} steps: {hits} hit, {misses} miss, {end.seconds:.2f} s"
    lines.append("")
    lines.append(f"{'done' if end.ok else 'failed'}: {total}")
    if end.image:
        lines.append(f"image {end.image}" + (f" ({', '.join(end.names)})" if end.names else ""))
    return "\n".join(lines)
