"""The command `pybuild`: finds the command, runs it, and turns what went wrong into words and an exit status.

Nothing below `builder.cli` prints, exits or reads the environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from builder import __version__
from builder.errors import BuilderError, Cancelled

# Each command's module has `run(arguments) -> exit status`; it is imported only for that command.
COMMANDS = {
    "build": "build an image from a build file (the default)",
    "run": "run a command in a container made from an image",
    "images": "list the images of the store",
    "inspect": "show an image's config and layers as JSON",
    "history": "show what an image was made by",
    "tag": "give an image another name",
    "rmi": "take an image's name away, or the image",
    "pull": "fetch an image from a registry",
    "push": "send an image to a registry",
    "login": "store the credentials for a registry",
    "logout": "remove the credentials for a registry",
    "save": "write images to an archive",
    "load": "read images from an archive",
}


def usage() -> str:
    """What `pybuild --help` shows."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "Usage: pybuild [build] [flags] CONTEXT\n       pybuild COMMAND [flags] …\n\n"
        f"Builds container images from a Dockerfile, without a daemon.\n\nCommands:\n{listed}\n\n"
        "pybuild COMMAND --help tells a command's flags. Exit status: 0 done, 1 the build failed,\n"
        "2 wrong usage or a build file that does not parse, 130 interrupted.\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["--version"], ["-v"]):
        print(f"pybuild {__version__}")
        return 0
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        sys.stdout.write(usage())
        return 0 if arguments else 2
    name = arguments.pop(0) if arguments[0] in COMMANDS else "build"
    run: Callable[[list[str]], int] = import_module(f"builder.cli.{name}").run
    try:
        return run(arguments)
    except BuilderError as error:
        if os.environ.get("PYBUILD_DEBUG"):
            raise
        from builder.cli.messages import render_error

        sys.stderr.write(render_error(error))
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("pybuild: interrupted\n")
        return Cancelled.exit_status
    except BrokenPipeError:
        # Who read our output has gone; say nothing, and let nothing be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except RecursionError:
        sys.stderr.write("pybuild: the input is nested too deep\n")
        return 2
    except MemoryError:
        sys.stderr.write("pybuild: out of memory\n")
        return 1
    except OSError as error:
        if os.environ.get("PYBUILD_DEBUG"):
            raise
        where = f" {error.filename}" if error.filename else ""
        sys.stderr.write(f"pybuild: {error.strerror or error}:{where}\n")
        return 1
