"""`pybuild cache`: keys for remote caches, and the folders of cache mounts."""

from __future__ import annotations

import os
import sys
import time
from typing import BinaryIO

from builder.cli import values
from builder.cli.command import ISOLATION, JSON, STORE, Command
from builder.cli.flags import Arguments
from builder.cli.surroundings import Surroundings
from builder.errors import UsageError

_MOUNT_WORDS = ("ls", "rm", "export", "import")


def run(args: Arguments, around: Surroundings) -> int:
    """Carry out the word behind `cache`."""
    word, *rest = args.words
    if word == "keygen":
        return _keygen(rest, around)
    if word != "mounts":
        raise UsageError(
            f'cache: there is no "{word}"', hint="write pybuild cache mounts ls, or pybuild cache keygen NAME"
        )
    what, *names = rest or ["ls"]
    if what == "ls" and not names:
        return _list(args, around)
    if what == "rm" and names:
        return _remove(args, around, names)
    if what in ("export", "import") and 1 <= len(names) <= 2:
        return _move(args, around, what, names[0], names[1] if len(names) == 2 else "-")
    if what not in _MOUNT_WORDS:
        raise UsageError(f'cache mounts: there is no "{what}"', hint=f"use one of {', '.join(_MOUNT_WORDS)}")
    usage = {"ls": "", "rm": " ID…", "export": " ID [FILE]", "import": " ID [FILE]"}[what]
    raise UsageError(f"cache mounts {what}: wrong words", hint=f"usage: pybuild cache mounts {what}{usage}")


def _list(args: Arguments, around: Surroundings) -> int:
    """A line for each cache mount, the largest first."""
    from builder.store.cache_mounts import cache_mounts

    with around.open_store(args.text("--store")) as store:
        mounts = cache_mounts(store)
    if values.wants_json(args):
        import json
        from dataclasses import asdict

        around.out.write(json.dumps([asdict(mount) for mount in mounts], indent=2) + "\n")
        return 0
    from builder.cli.table import since, table
    from builder.report.text import human

    now = time.time()
    rows = [("NAME", "SIZE", "ENTRIES", "USED", "ID")]
    rows += [
        (mount.name[:12], human(mount.size), str(mount.entries), since(mount.used, now), mount.id)
        for mount in mounts
    ]
    around.out.write(table(rows, right=frozenset({1, 2})))
    return 0


def _remove(args: Arguments, around: Surroundings, names: list[str]) -> int:
    from builder.store.cache_mounts import find_cache_mount, remove_cache_mount

    with around.open_store(args.text("--store")) as store:
        for text in names:
            name = find_cache_mount(store, text)
            remove_cache_mount(store, name)
            around.out.write(f"{name}\n")
    return 0


def _move(args: Arguments, around: Surroundings, what: str, text: str, path: str) -> int:
    """Write a cache mount to a tar, or fill one from a tar; `-` is standard output or input."""
    from builder.engine.cache_mounts import export_mount, import_mount

    with around.open_store(args.text("--store")) as store:
        if what == "export":
            from builder.output.destination import open_destination

            if path == "-" and around.out.isatty():
                raise UsageError("an archive is not written to a terminal", hint="give a file, or redirect")
            with open_destination(path, sys.stdout.buffer) as stream:
                export_mount(store, text, stream)
            return 0
        with _source(path) as source:
            import_mount(store, text, source, what="standard input" if path == "-" else path)
    return 0


def _source(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise UsageError(f'the archive "{path}" cannot be read: {error.strerror}') from None


def _keygen(words: list[str], around: Surroundings) -> int:
    """Make NAME, the key to sign with, and NAME.pub, the key that others trust."""
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


def _handles_files(args: Arguments) -> bool:
    return args.words[:1] == ("mounts",)


COMMAND = Command(
    name="cache",
    usage="mounts [ls | rm ID… | export ID [FILE] | import ID [FILE]] | keygen NAME",
    flags=(*JSON, ISOLATION, STORE),
    run=run,
    text="mounts looks after the folders of RUN --mount=type=cache: lists them, removes them, writes one to a tar or fills "
    "one from a tar. ID is that of the mount (its id=, or its target), or the beginning of its name. keygen makes a key "
    "to sign remote caches with (--cache-to …,sign=NAME) and NAME.pub, which others trust (--cache-from …,trust=NAME.pub).",
    examples=(
        ("pybuild cache mounts", "list the cache mounts of the store"),
        ("pybuild cache mounts export /root/.cache/pip pip.tar", "write one to an archive"),
        ("pybuild cache keygen cache-key", "make cache-key and cache-key.pub"),
    ),
    fewest=1,
    most=None,
    isolated=True,
    works=_handles_files,
)
