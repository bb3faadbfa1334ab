"""What all commands share: a parser that speaks like the rest of the program, the store's place, credentials' place."""

from __future__ import annotations

import argparse
import difflib
import os
from typing import NoReturn

from builder.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are `UsageError`s that name the nearest flag."""

    def __init__(self, command: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"pybuild {command}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            add_help=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument("--help", action="help", help="show this text")

    def error(self, message: str) -> NoReturn:
        """Complain."""
        hint = f"{self.prog} --help tells all flags"
        if message.startswith("unrecognized arguments:"):
            word = message.split(":", 1)[1].split(maxsplit=1)[0]
            known = [name for action in self._actions for name in action.option_strings]
            near = difflib.get_close_matches(word.partition("=")[0], known, 1)
            if near:
                hint = f"did you mean {near[0]}?"
            message = f"unknown flag or argument: {word}"
        raise UsageError(message, hint=hint)


def add_store(parser: Parser) -> None:
    """`--store`, for every command that uses one."""
    parser.add_argument(
        "--store", metavar="DIR", help="folder of the store (default: PYBUILD_STORE, or your data folder)"
    )


def store_path(given: str | None) -> str:
    """Where the store is: what was given, PYBUILD_STORE, or the user's data folder (XDG)."""
    if given:
        return given
    if os.environ.get("PYBUILD_STORE"):
        return os.environ["PYBUILD_STORE"]
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(data, "pybuild")


def docker_config() -> str:
    """The path of Docker's config.json."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    return os.path.join(folder, "config.json")


def become_root() -> bool:
    """Enter a user namespace if an ordinary user runs this; whether that was so. Before any thread begins."""
    if os.geteuid() == 0:
        from builder.sandbox.ways import is_rootless

        return is_rootless()
    from builder.sandbox.ways import choose_way, enter

    enter(choose_way())
    return True
