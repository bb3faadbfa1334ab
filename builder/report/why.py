"""Reasons in a few words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from builder.events import Reason
from builder.report.summary import one_line
from builder.report.text import counted

_FILE = " file"


def reason_words(reasons: Sequence[Reason]) -> Iterator[str]:
    """Some reasons, each in a few words of one line; all files are one, and those of a mount are."""
    groups: dict[str, list[Reason]] = {}
    for reason in reasons:
        if (mount := mount_of(reason)) is not None:
            groups.setdefault(mount, []).append(reason)
    if "" in groups:
        yield one_line(_files(groups.pop(""), ""))
    words = []
    for reason in reasons:
        mount = mount_of(reason)
        if mount is None:
            words.append(_word(reason))
        elif mount in groups:
            words.append(_files(groups.pop(mount), mount))
    yield from dict.fromkeys(map(one_line, words))


def mount_of(reason: Reason) -> str | None:
    """The mount that a reason names a file of, as its detail begins (`mount /src: `), empty for a file of a COPY or ADD; None for
    any other reason.
    """
    if reason.part == "file" or reason.part.startswith("file "):
        return ""
    if not reason.part.startswith(("mount bind ", "mount cache ")):
        return None
    target = reason.part.split(" ", 2)[2]
    at = target.find(_FILE)
    while at >= 0:
        begin = f"mount {target[:at]}: "
        if target[at + len(_FILE) :][:1] in ("", " ") and reason.detail.startswith(begin):
            return begin
        at = target.find(_FILE, at + 1)
    return None


def file_of(reason: Reason) -> str:
    """The path of the file that a reason names, in its context or below its mount; empty if it names none."""
    mount = mount_of(reason)
    if mount is None:
        return ""
    return reason.part[len("file ") :] if not mount else reason.part.partition(f"{mount[6:-2]}{_FILE}")[2][1:]


def _word(reason: Reason) -> str:
    # The title of the cause stands on its own line.
    if reason.kind == "depends" and reason.step:
        return f"depends on step {reason.step}"
    return f"because step {reason.step} changed" if reason.step else reason.detail or reason.kind


def _files(reasons: Sequence[Reason], mount: str) -> str:
    count, details = 0, []
    for reason in reasons:
        detail = reason.detail.removeprefix(mount)
        more = detail.removeprefix("and ").removesuffix(" more")
        count += int(more) if not file_of(reason) and more.isdecimal() else 1
        details.append(detail)
    return f"{mount}{counted(count, 'file')} changed: {', '.join(details)}"
