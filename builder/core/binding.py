"""The border to the C core: the extension's `ffi` and `lib`, and the one place where its errors become exceptions.

No other module outside `builder.core` imports the extension. A call does a whole job or a batch; the interpreter
lock is released around each, so a handle must not be used from two threads at once.
"""

from __future__ import annotations

import os

from builder.core._core import ffi, lib
from builder.errors import CoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self

__all__ = ["Handle", "check", "ffi", "lib", "new_error", "raise_error"]


def new_error() -> Any:
    """A fresh `pb_error *` to pass as a call's last argument."""
    return ffi.new("pb_error *")


def check(result: int, error: Any) -> int:
    """Give back a call's result, or raise the `CoreError` that it describes."""
    if result < 0:
        raise_error(-result, error)
    return result


def raise_error(errno: int, error: Any) -> None:
    """Turn a filled `pb_error` into a `CoreError` with a sentence that names operation, path and cause."""
    operation = ffi.string(error.operation).decode()
    path = ffi.string(error.path).decode("utf-8", "backslashreplace")
    detail = ffi.string(error.detail).decode("utf-8", "backslashreplace")
    reason = detail or os.strerror(errno)
    subject = f"{operation} {path}".strip() or "the C core"
    raise CoreError(operation, errno, path, f"{subject}: {reason}")


class Handle:
    """Something of the core's, kept until it is closed; `handle` is for the modules of this package.

    `found` is the pointer that a call has set, `free` the core's function that takes what it points to.
    """

    def __init__(self, found: Any, free: Callable[[Any], None]) -> None:
        self.handle: Any = ffi.gc(found[0], free)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; safe to call twice. While another thread is in a call with it, as when somebody breaks off twice, it
        stays until that comes back.
        """
        self.handle = None
