"""The exception families of the library.

Every failure that a user can cause or meet is a `BuilderError`: one sentence of what happened, where it
happened, and in `hint` what to do about it. Only `builder.cli` prints one or ends the process.
"""

from __future__ import annotations

from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a build file, with the text that stands there.

    `line` and `column` count from 1, columns in characters. `width` is the number of characters to
    underline. `source` is the line as written, without its line end.
    """

    file: str
    line: int
    column: int = 1
    width: int = 1
    source: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class BuilderError(Exception):
    """Base of all errors of this library.

    `message` is one sentence without a full stop; `hint` says what to do; `location` is where in the build
    file; `exit_status` is what a command ends with (see the design: 1 the build failed, 2 wrong usage).
    """

    exit_status = 1

    def __init__(self, message: str, *, hint: str | None = None, location: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location


class UsageError(BuilderError):
    """The caller asked for something that cannot be meant: a flag, a name, a missing context."""

    exit_status = 2


class BuildFileError(BuilderError):
    """The build file does not parse or means nothing; `others` holds further errors of the same file."""

    exit_status = 2

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        location: Location | None = None,
        others: tuple[BuildFileError, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.others = others


class StepError(BuilderError):
    """A step could not be carried out: a missing source, a command that failed.

    `about` are texts of the instruction that it is about, the best first: what to point at. `others` are further errors of
    the same build.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        location: Location | None = None,
        about: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.about = about
        self.others: tuple[StepError, ...] = ()


class CommandError(StepError):
    """A RUN command ended with a status other than 0, or by a signal; `output` is its last output."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        output: bytes = b"",
        hint: str | None = None,
        location: Location | None = None,
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.status = status
        self.output = output


class StoreError(BuilderError):
    """The store cannot be used: not writable, full, made by a newer version."""


class NotFetched(StoreError):
    """Something lies elsewhere, and whoever only looks does not fetch it."""


class ImageError(BuilderError):
    """An image, archive or layout is missing, damaged or not of a known form."""


class RegistryError(BuilderError):
    """A registry refused, failed or sent something else than its digest promised."""


class SandboxError(BuilderError):
    """No isolated process can be started here."""


class CoreError(BuilderError):
    """A call of the C core failed; `errno` is positive, `path` is what it worked on.

    It is not an `OSError`, because the errno decides what a caller may do about it.
    """

    def __init__(self, operation: str, errno: int, path: str, message: str) -> None:
        super().__init__(message)
        self.operation = operation
        self.errno = errno
        self.path = path


class UnmetError(BuilderError):
    """The result is there, but not as the caller required it to be."""

    exit_status = 3


class CacheLostError(BuilderError):
    """A remote cache does not give a layer that it promised: the steps that it stands for are carried out after all."""


class DamageError(CacheLostError):
    """Files of the store are not what they were; they are dropped, so that a build that begins again does without them."""


class Cancelled(BuilderError):
    """The build was interrupted, by the user or because another step failed."""

    exit_status = 130
