"""What the sources of a COPY or ADD name: nodes of a tree, found by path or pattern."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Sequence

from builder.core.tree import Tree
from builder.errors import CoreError, StepError
from builder.value import dataclass

_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Source:
    """One file or folder to copy.

    `path` is where it was found, relative to the tree's root; `name` is what it is called in a folder it lands in;
    `parents` are the folders to recreate in front of it (`--parents`), outermost first, as paths in the tree, of which
    the first `cut` characters are not recreated.
    """

    node: int
    path: str
    name: str
    parents: tuple[str, ...] = ()
    cut: int = 0

    @property
    def folder(self) -> str:
        """Where `--parents` puts it below the destination, with a slash at the end, or nothing."""
        return self.parents[-1][self.cut :] + "/" if self.parents else ""


def clamp(path: str) -> str:
    """A source path as it is found in the tree: relative, cleaned, with no way above the root."""
    return posixpath.normpath("/" + path).lstrip("/")


def find_sources(
    tree: Tree, patterns: Sequence[str], *, parents: bool = False, place: str = "the build context"
) -> tuple[Source, ...]:
    """The nodes that the source words of one instruction name, in the order of the words.

    A pattern may match nothing; a plain path that is not there is a `StepError`.
    """
    found: list[Source] = []
    for written in patterns:
        pivot, pattern = _split_pivot(written) if parents else ("", clamp(written))
        if _PATTERN.isdisjoint(pattern):
            found.append(_plain(tree, written, pattern, pivot, parents, place))
            continue
        for node in tree.glob(pattern.encode("utf-8", "surrogateescape"), double_star=parents):
            path = tree.entry(node).path.decode("utf-8", "surrogateescape")
            followed = node if parents else _follow(tree, path, written, place)
            found.append(_source(followed, path, pivot, parents))
    return tuple(found)


def _split_pivot(written: str) -> tuple[str, str]:
    """The part of a `--parents` source in front of `/./`, and the whole cleaned path."""
    before, mark, _ = ("/" + written.removeprefix("./")).partition("/./")
    return (clamp(before) if mark else "", clamp(written))


def _plain(tree: Tree, written: str, path: str, pivot: str, parents: bool, place: str) -> Source:
    return _source(_follow(tree, path, written, place), path, pivot, parents)


def _follow(tree: Tree, path: str, written: str, place: str) -> int:
    """The node at a path; links are followed inside the tree."""
    try:
        return tree.find(path.encode("utf-8", "surrogateescape"), follow=True)
    except CoreError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise StepError(
                f'"{written}" is not in {place}',
                hint="check the spelling, and whether an ignore file leaves it out",
            ) from None
        if error.errno == errno.ELOOP:
            raise StepError(f'"{written}" in {place} is a link that leads in a circle') from None
        raise


def _source(node: int, path: str, pivot: str, parents: bool) -> Source:
    name = posixpath.basename(path)
    if not parents:
        return Source(node, path, name)
    folder, steps = posixpath.dirname(path), []
    while len(folder) > len(pivot):
        steps.append(folder)
        folder = posixpath.dirname(folder)
    return Source(node, path, name, tuple(reversed(steps)), len(pivot) + 1 if pivot else 0)
