"""What a command is: its name, flags and help, and the function that carries it out."""

from __future__ import annotations

from collections.abc import Callable

from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.errors import UsageError
from builder.value import dataclass

STORE = Flag(
    "--store", "FOLDER", "Folder that holds images and cache (default: PYBUILD_STORE, or the user's own)"
)
ISOLATION = Flag(
    "--isolation", "WAY", "How processes are isolated: root or rootless (default: what works here)"
)
JSON = (
    Flag("--format", "FORMAT", "text (default) or json"),
    Flag("--json", "", "The same as --format json"),
)
QUIET = Flag("--quiet", "", "Print only what scripts need", short="-q")

COMMANDS = {
    "build": "Build an image from a build file",
    "check": "Check a build file for mistakes and bad habits, without building",
    "plan": "Say what a build would find in the cache now, without building",
    "verify": "Run steps twice and name what they make differently",
    "explain": "Say why the steps of a build were not found in the cache",
    "report": "Show past builds, their trend, and what could be better",
    "context": "List the files that COPY and ADD take, and say why a path is left out",
    "run": "Run a command in a container",
    "images": "List the images of the store",
    "inspect": "Show all about an image, as JSON",
    "history": "Show which instructions an image was made by",
    "tag": "Give an image one more name",
    "rmi": "Remove names and images from the store",
    "pull": "Fetch an image from its registry",
    "push": "Send an image to its registry",
    "login": "Keep the password of a registry",
    "logout": "Forget the password of a registry",
    "save": "Write images to an archive",
    "load": "Bring the images of an archive into the store",
    "cache": "Make keys for remote caches, and look after cache mounts",
    "du": "Show what the store holds and how large it is",
    "doctor": "Look whether this machine can build and whether the store is sound, and mend it",
    "prune": "Remove what no image needs from the store",
    "fmt": "Bring build files into one form",
}
"""All commands, each a module of this package, with the line that the overview shows."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    `usage` are its words behind the flags. `fewest` and `most` bound how many there may be (None: any number).
    `isolated` means that it handles files of images, which needs the rights of root, here or in a user namespace;
    `works` says whether a line of it does so (None: all do).
    """

    name: str
    usage: str
    flags: tuple[Flag, ...]
    run: Callable[[Arguments, Surroundings], int]
    text: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    fewest: int = 0
    most: int | None = 0
    isolated: bool = False
    works: Callable[[Arguments], bool] | None = None
    stop_at_word: bool = False

    def check(self, args: Arguments) -> None:
        """A `UsageError` if there are too few words or too many."""
        count = len(args.words)
        if count < self.fewest or (self.most is not None and count > self.most):
            problem = "too few words" if count < self.fewest else f'unexpected "{args.words[self.most or 0]}"'
            line = " ".join(part for part in ("pybuild", self.name, self.usage) if part)
            slip = f"did you mean {args.slip}? " if args.slip and count > self.fewest else ""
            raise UsageError(
                f"{self.name}: {problem}", hint=f"{slip}usage: {line}; see pybuild {self.name} --help"
            )


def find(name: str) -> Command:
    """A command by its name, which must be one of `COMMANDS`."""
    from importlib import import_module

    command: Command = import_module(f"builder.cli.{name}").COMMAND
    return command
