"""The command `pybuild`: from words to one call of the library, from errors to a message and an exit status.

Nothing else prints errors or ends the process.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `typing` costs more than Python's own start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from builder.cli.command import Command
    from builder.cli.surroundings import Surroundings

_INTERRUPTED = 130
_BROKEN_PIPE = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command line (default: that of the process) and give back the exit status.

    0: done. 1: the build failed. 2: wrong usage, or a build file that does not parse. 3: a condition that the caller
    set is not met. 130 or 143: interrupted or asked to end. `run` gives back what the container's command ended with.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words in (["--version"], ["-V"], ["version"]):
            from builder import __version__

            print(f"pybuild {__version__}", flush=True)
            return 0
        return _dispatch(words)
    except BrokenPipeError:
        # Whoever read standard output has gone, which is no error worth a word (`pybuild images | head -1`).
        _forget_output()
        return _BROKEN_PIPE
    except KeyboardInterrupt:  # before anybody looked after signals, or while they were already handled
        return _INTERRUPTED


def process() -> NoReturn:
    """The process `pybuild`: carry out its command line, and end with its exit status."""
    import gc
    import os

    # Most commands are done before there is anything to collect.
    gc.set_threshold(100_000)
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        _open_streams()
    status = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(status)
    # All is written and closed: taking the interpreter down piece by piece would take longer than to start it.
    os._exit(status)


def _open_streams() -> None:
    """Put something where the process was started without a standard stream (`pybuild images >&-`).

    Else the next file that is opened, such as the database of the store, would get the number, and with it what
    programs print. There is nothing to read, results cannot be written, and progress goes nowhere.
    """
    import os

    for number, way in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, way)  # gets the lowest number that is free: this one
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def _dispatch(words: list[str]) -> int:
    from builder.cli import interruption, surroundings

    around = surroundings.read()
    try:
        with interruption.watched():
            status = _run(words, around)
            around.out.flush()
            return status
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return interruption.tell(around.err)
    except Exception as error:
        if interruption.status():
            return interruption.tell(around.err)
        if around.setting("PYBUILD_DEBUG"):
            raise
        return _tell(error, around)


def _tell(error: Exception, around: Surroundings) -> int:
    """Write an error for people; the exit status that goes with it."""
    from builder.cli.message import error_text, mistake_text, system_error_text
    from builder.errors import BuilderError

    status = 1
    _forget_output()
    if isinstance(error, BuilderError):
        status = error.exit_status
        text = error_text(error, output=around.untold.output) if around.untold.error else ""
    elif isinstance(error, OSError):
        text = system_error_text(error)
    elif isinstance(error, MemoryError):
        text = "error: out of memory\n"
    elif isinstance(error, RecursionError):
        text = "error: the input is nested too deeply\n"
    else:
        text = mistake_text(error)
    try:
        around.err.write(text)
        around.err.flush()
    except OSError:  # a log on a full disk: the status has to do
        pass
    return status


def _run(words: list[str], around: Surroundings) -> int:
    from builder.cli.command import COMMANDS, find
    from builder.cli.flags import read_flags

    if words[:1] in (["--help"], ["-h"]) or words == ["help"]:
        from builder.cli.help import overview

        around.out.write(overview())
        return 0
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if not words:
        from builder.cli.help import overview
        from builder.errors import UsageError

        around.err.write(overview())
        raise UsageError("the build context is missing", hint="to build this folder: pybuild .")
    name = "build"
    if words[0] in COMMANDS:
        name, words = words[0], words[1:]
    else:
        _check_word(words[0])
    command = find(name)
    if _wants_help(command, words):
        from builder.cli.help import command_help

        around.out.write(command_help(command, COMMANDS[name]))
        return 0
    args = read_flags(command.flags, words, command=name, stop_at_word=command.stop_at_word)
    command.check(args)
    if command.isolated and (command.works is None or command.works(args)):
        # Before any thread exists: only a process with one thread can enter a user namespace.
        from builder.sandbox.ways import choose_way, enter

        forced = args.text("--isolation")
        enter(choose_way(None if forced in (None, "", "default") else forced))
    return command.run(args, around)


def _wants_help(command: Command, words: list[str]) -> bool:
    for word in words:
        if word == "--" or (command.stop_at_word and not word.startswith("-")):
            return False
        if word == "--help" or (word == "-h" and all(flag.short != "-h" for flag in command.flags)):
            return True
    return False


def _check_word(word: str) -> None:
    """A first word that is neither a command nor a folder, but looks like a command, is a slip."""
    import os

    if word.startswith("-") or not word.isalpha() or os.path.lexists(word):
        return
    from builder.cli.command import COMMANDS
    from builder.cli.flags import nearest
    from builder.cli.others import OTHERS
    from builder.errors import UsageError

    guess = nearest(word, COMMANDS)
    hint = f"did you mean pybuild {guess}?" if guess else "pybuild --help lists the commands"
    hint = OTHERS.get(word, hint)
    raise UsageError(f'"{word}" is neither a command nor a folder', hint=hint)


def _forget_output() -> None:
    """Let Python write what is left for standard output to nowhere when it ends, instead of failing once more."""
    import os

    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
