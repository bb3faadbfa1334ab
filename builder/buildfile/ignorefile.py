"""Ignore files: `.dockerignore` and its like, as moby/patternmatcher reads them."""

from __future__ import annotations

import posixpath

from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """One rule: the cleaned pattern (`!` in front makes an exception), and where and how it is written."""

    pattern: str
    line: int
    text: str


def read_ignore_file(text: bytes) -> tuple[IgnoreRule, ...]:
    """The rules of an ignore file, in order.

    `#` begins a comment in the first column only; blanks around a rule, a slash in front, and `.` and `..` parts go.
    """
    decoded = text.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    rules = []
    for number, line in enumerate(decoded.split("\n"), 1):
        if line.startswith("#"):
            continue
        pattern = line.strip()
        exception = pattern.startswith("!")
        if exception:
            pattern = pattern[1:].strip()
        if not pattern:
            if exception:  # whoever compiles it says so
                rules.append(IgnoreRule("!", number, line.rstrip("\r")))
            continue
        pattern = posixpath.normpath(pattern)
        if len(pattern) > 1 and pattern.startswith("/"):
            pattern = pattern.lstrip("/")
        rules.append(IgnoreRule(("!" if exception else "") + pattern, number, line.rstrip("\r")))
    return tuple(rules)
