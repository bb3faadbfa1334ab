"""What a verification found: whether steps give the same files when they run once more."""

from __future__ import annotations

from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    r"""One thing that two runs of a step made differently.

    `path` is absolute in the image, with control signs as `\xHH`. `kind` is `content`, `mode`, `owner`, `type`, `target`,
    `xattrs`, `link` (which names belong to one file), `opaque` (whether a folder hides what was below), `time`, `first-only` or
    `second-only`; `detail` says more. `lines` are a diff of small text files, `note` says why there is none.
    """

    path: str
    kind: str
    detail: str = ""
    lines: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedStep:
    """A step that ran twice, from the same files.

    `differences` are at most some hundred of `total`. `error` tells that it failed at least once although the build went well;
    then nothing could be compared. `seconds` is how long both runs took together.
    """

    title: str
    stage: str
    line: int
    seconds: float
    differences: tuple[Difference, ...] = ()
    total: int = 0
    error: str = ""

    @property
    def reproducible(self) -> bool:
        """Whether both runs gave the same."""
        return not self.total and not self.error
