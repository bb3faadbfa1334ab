"""The process `pybuild`, also as `python -m builder`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def process() -> NoReturn:
    """Carry out the command line of the process."""
    # Built into the interpreter; `signal` is a file and brings others, in which Ctrl-C would show where it came.
    import _signal  # type: ignore[import-not-found]

    # Until there is somebody to look after it (builder.cli.interruption) Ctrl-C ends the process without a word.
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from builder.cli.main import process as carry_out

    carry_out()


if __name__ == "__main__":
    process()
