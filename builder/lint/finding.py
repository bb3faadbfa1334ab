"""What a check finds, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from builder.buildfile.syntax import Instruction, Span
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.lint.walk import Facts

ERROR, WARNING, INFO, STYLE = "error", "warning", "info", "style"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule has found.

    `message` is about this very place, `description` and `url` are the rule's. `span` marks the words, and
    `lines` are the first and last line of the instruction that they belong to.
    """

    rule: str
    severity: str
    message: str
    description: str
    url: str
    span: Span
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Hit:
    """A finding in the making: the instruction it is about, the words in it, and the message.

    `also` is a second instruction whose comment may say that the rule shall be skipped.
    """

    line: Instruction
    span: Span
    message: str
    also: Instruction | None = None


Check = Callable[["Facts"], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as data: `summary` says what it wants, `check` finds where that is not so.

    `default` tells whether it is on without being asked for; `experimental` rules are switched on by
    `experimental=`, and `skip=all` does not switch those off.
    """

    name: str
    summary: str
    severity: str
    url: str
    check: Check
    default: bool = True
    experimental: bool = False
