"""`pybuild cache`: keys for remote caches, and the folders of cache mounts."""

from __future__ import annotations

from builder.cli.command import STORE, Command
from builder.cli.flags import Arguments
from builder.cli.surroundings import Surroundings
from builder.errors import UsageError


def run(args: Arguments, around: Surroundings) -> int:
    """Carry out the word behind `cache`."""
    word, *rest = args.words
    if word == "keygen":
        return _keygen(rest, around)
    raise UsageError(f'cache: there is no "{word}"', hint="write pybuild cache keygen NAME")


def _keygen(words: list[str], around: Surroundings) -> int:
    """Make NAME, the key to sign with, and NAME.pub, the key that others trust."""
    import os

    if len(words) != 1:
        raise UsageError(
            "cache keygen: the name of the key's file is missing", hint="pybuild cache keygen NAME"
        )
    from builder.cache.signing import make_keys

    private, public = make_keys()
    for path, data, mode in ((words[0], private, 0o600), (f"{words[0]}.pub", public, 0o644)):
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except OSError as error:
            raise UsageError(f'the key "{path}" cannot be written: {error.strerror}') from None
        with open(fd, "wb") as stream:
            stream.write(data)
    around.out.write(f"{words[0]}\n{words[0]}.pub\n")
    return 0


COMMAND = Command(
    name="cache",
    usage="keygen NAME",
    flags=(STORE,),
    run=run,
    text="keygen makes a key to sign remote caches with (--cache-to …,sign=NAME) and NAME.pub, which others trust "
    "(--cache-from …,trust=NAME.pub).",
    examples=(("pybuild cache keygen cache-key", "make cache-key and cache-key.pub"),),
    fewest=1,
    most=None,
)
