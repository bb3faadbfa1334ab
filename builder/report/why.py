"""Reasons in a few words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from builder.events import Reason
from builder.report.summary import one_line
from builder.report.text import counted


def reason_words(reasons: Sequence[Reason]) -> Iterator[str]:
    """Some reasons, each in a few words of one line; all files are one."""
    files = [reason for reason in reasons if reason.part == "file" or reason.part.startswith("file ")]
    if files:
        yield one_line(_files(files))
    yield from (one_line(_word(reason)) for reason in reasons if reason not in files)


def _word(reason: Reason) -> str:
    # The title of the cause stands on its own line.
    if reason.kind == "depends" and reason.step:
        return f"depends on step {reason.step}"
    return f"because step {reason.step} changed" if reason.step else reason.detail or reason.kind


def _files(reasons: Sequence[Reason]) -> str:
    count = 0
    for reason in reasons:
        more = reason.detail.removeprefix("and ").removesuffix(" more")
        count += int(more) if reason.part == "file" and more.isdecimal() else 1
    listed = ", ".join(reason.detail for reason in reasons)
    return f"{counted(count, 'file')} changed: {listed}"
