"""Folders that a build takes files from: the context and named contexts, with their ignore rules and indexes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

from builder.buildfile.ignorefile import IgnoreRule, read_ignore_file
from builder.core.tree import Ignore, Tree, hash_bytes
from builder.engine.reading import read_file
from builder.errors import BuilderError, CoreError, Location, UsageError
from builder.graph.steps import FromContext, FromNamed, Origin
from builder.store.store import Store
from builder.value import dataclass

# The first of these at the root of a context holds its ignore rules.
_IGNORE_FILES = (".dockerignore", ".containerignore")
_IGNORE_LIMIT = 4 << 20


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on this machine, seen through its ignore rules.

    `tree` belongs to whoever holds `lock`; `fd` is the folder's descriptor. `hint` is what helps who misses a file, empty if
    nobody knows.
    """

    path: str
    fd: int
    tree: Tree
    lock: threading.RLock
    index: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ContextSource:
    """Where a context's files are: a `path` here, or an `address` elsewhere that is fetched when first needed.

    `ignore_file` takes the place of the context's own one. Ignore rules hold for `local` folders only. `hint` is that of the
    folder that it becomes.
    """

    path: str = ""
    address: str = ""
    ignore_file: str | None = None
    local: bool = True
    hint: str = ""


class Contexts:
    """Opens each folder of a build once, when a step first needs it, and saves the indexes at the end."""

    def __init__(
        self, store: Store, sources: Mapping[str, ContextSource], fetch: Callable[[str, str], str]
    ) -> None:
        """`sources` by the names of contexts, the main one's empty; `fetch` brings a named one's address to a path."""
        self._store = store
        self._sources = sources
        self._fetch = fetch
        self._folders: dict[str, Folder] = {}
        self._lock = threading.Lock()

    def is_folder(self, origin: Origin) -> bool:
        """Whether files come from a folder on this machine: a named context may be an image too."""
        return isinstance(origin, FromContext) or (
            isinstance(origin, FromNamed) and origin.name in self._sources
        )

    def of(self, origin: Origin) -> Folder:
        """The folder that files come from."""
        return self.named(origin.name) if isinstance(origin, FromNamed) else self.main()

    def main(self) -> Folder:
        """The build context."""
        return self.named("")

    def named(self, name: str) -> Folder:
        """A named context that is a folder."""
        with self._lock:
            if name not in self._folders:
                source = self._sources[name]
                path = source.path or self._fetch(name, source.address)
                self._folders[name] = self._open(path, source)
            return self._folders[name]

    def _open(self, path: str, source: ContextSource) -> Folder:
        fd = open_folder(path)
        try:
            ignore = _ignore_rules(fd, path, source.ignore_file) if source.local else None
            index = ""
            if source.local:  # what was fetched is new each time
                real = os.path.realpath(path)
                index = self._store.index_path(hash_bytes(os.fsencode(real)).hex())
                if not self._store.reading:
                    _touch(index)
            secret, spare = self._store.secret, self._store.fd
            tree = Tree(fd, ignore=ignore, secret=secret, index=index or None, spare_fd=spare)
        except BaseException:
            os.close(fd)
            raise
        return Folder(path, fd, tree, threading.RLock(), index, source.hint)

    def close(self) -> None:
        """Keep what was learned about the files for the next build, and let go of them."""
        for folder in self._folders.values():
            with folder.lock:
                stats = folder.tree.stats()
                self._store.meter.count(read=stats.bytes_hashed, hashed=stats.bytes_hashed)
                # Files that were read are those that the index did not know: else it is as good as before.
                if folder.index and stats.files_hashed and not self._store.reading:
                    folder.tree.save(folder.index)
                folder.tree.close()
                os.close(folder.fd)
        self._folders.clear()


def _touch(index: str) -> None:
    """Tell that an index is of use."""
    try:
        os.utime(index)
    except OSError:  # there is none yet
        pass


def open_folder(path: str) -> int:
    """A descriptor of a context folder, or a `UsageError` that says what is wrong with it."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UsageError(
            f'the build context "{path}" does not exist', hint="give the folder that COPY takes files from"
        ) from None
    except NotADirectoryError:
        raise UsageError(f'the build context "{path}" is not a folder') from None
    except OSError as error:
        raise UsageError(f'the build context "{path}" cannot be opened: {error.strerror}') from None


def ignore_rules(path: str, ignore_file: str | None) -> tuple[str, tuple[IgnoreRule, ...]]:
    """The ignore file that holds for a context folder (empty if none does), and its rules."""
    fd = open_folder(path)
    try:
        name, text = _read_ignore_file(fd, path, ignore_file)
    finally:
        os.close(fd)
    return name, read_ignore_file(text)


def _ignore_rules(fd: int, path: str, ignore_file: str | None) -> Ignore | None:
    name, text = _read_ignore_file(fd, path, ignore_file)
    return compile_rules(name, read_ignore_file(text) if text else ())


def compile_rules(name: str, rules: tuple[IgnoreRule, ...]) -> Ignore | None:
    """Rules of a file ready for use, None if there are none; an error says which cannot be understood."""
    if not rules:
        return None
    try:
        return Ignore([rule.pattern for rule in rules])
    except CoreError as error:
        rule = next((rule for rule in rules if rule.pattern.lstrip("!") == error.path.lstrip("!")), rules[0])
        raise BuilderError(
            f"the ignore pattern {rule.pattern!r} cannot be understood: {error.message.rpartition(': ')[2]}",
            location=Location(name, rule.line, 1, max(len(rule.text), 1), rule.text),
            hint=_pattern_hint(rule.pattern),
        ) from None


def _pattern_hint(pattern: str) -> str | None:
    if "[" in pattern:
        return "close every [ with a ], write ranges upwards as in [a-z], and \\[ for the character itself"
    if pattern.endswith("\\"):
        return "the backslash at the end makes nothing plain: leave it out, or write \\\\ for the character itself"
    return None


def _read_ignore_file(fd: int, path: str, ignore_file: str | None) -> tuple[str, bytes]:
    """The name and content of the rules that hold, or nothing."""
    names = (ignore_file,) if ignore_file is not None else _IGNORE_FILES
    for name in names:
        shown = name if ignore_file is not None else os.path.join(path, name)
        try:
            return shown, read_file(name, _IGNORE_LIMIT, dir_fd=None if ignore_file is not None else fd)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f'"{shown}" cannot be read: {error.strerror}') from None
    return "", b""
