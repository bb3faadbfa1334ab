"""What the sources of a COPY or ADD name: nodes of a tree, found by path or pattern, and what --exclude leaves of them."""

from __future__ import annotations

import errno
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import takewhile

from builder.core.tree import Ignore, Tree
from builder.errors import CoreError, StepError
from builder.value import dataclass, replace

_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Source:
    """One file or folder to copy.

    `path` is where it was found, relative to the tree's root; `name` is what it is called in a folder it lands in. With
    `--parents`, `below` is where it goes below the destination, and `parents` are the folders to recreate in front of
    it, outermost first, as paths in the tree, of which the first `cut` characters are not recreated. `required` says
    that `--parents` has to copy something of it, as no pattern names it. `group` is the same for what one word finds below
    one folder: hard links are kept within it.
    """

    node: int
    path: str
    name: str
    below: str = ""
    parents: tuple[str, ...] = ()
    cut: int = 0
    required: bool = False
    group: int = 0

    @property
    def folder(self) -> str:
        """Where `--parents` puts it below the destination, with a slash at the end, or nothing."""
        return self.parents[-1][self.cut :] + "/" if self.parents else ""


class MissingSource(StepError):
    """A source is not where it was looked for."""


class Exclusion:
    """What `--exclude` leaves out: patterns count from a source, with `--parents` from where its path is cut."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        self._rules: dict[str, Ignore] = {}
        self._stack = ExitStack()

    def of(self, source: Source) -> Ignore | None:
        """The rules for what is at and below a source."""
        if not self._patterns:
            return None
        rules = self._rules.get(source.below)
        if rules is None:
            try:
                rules = self._stack.enter_context(Ignore(self._patterns, below=source.below))
            except CoreError as error:
                if error.errno != errno.EINVAL:
                    raise
                raise StepError(
                    f"--exclude={error.path} cannot be understood: syntax error in pattern",
                    hint=r"close every [ with a ], write ranges upwards as in [a-z], and \[ for the character itself",
                    about=(f"--exclude={error.path}",),
                ) from None
            self._rules[source.below] = rules
        return rules

    def __enter__(self) -> Exclusion:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def clamp(path: str) -> str:
    """A source path as it is found in the tree: relative, cleaned, with no way above the root."""
    return posixpath.normpath("/" + path).lstrip("/")


def see_why(error: MissingSource, folder_fd: int, hint: str = "") -> None:
    """A source that a context's tree does not have may be in the folder, but left out: its hint says so. Else that is `hint`, if
    there is one.
    """
    error.hint = hint or error.hint
    if error.about and is_below(folder_fd, error.about[0]):
        error.hint = "it is there, but an ignore file leaves it out: pybuild context says by which rule"


def is_below(folder_fd: int, path: str) -> bool:
    """Whether a folder has something at a path, whatever ignore rules say."""
    try:
        os.stat(clamp(path) or ".", dir_fd=folder_fd, follow_symlinks=False)
    except (OSError, ValueError):
        return False
    return True


def find_sources(
    tree: Tree, patterns: Sequence[str], *, parents: bool = False, place: str = "the build context"
) -> tuple[Source, ...]:
    """The nodes that the source words of one instruction name, in the order of the words.

    A pattern may match nothing, but its folder has to be there, as has a plain path: a `StepError` else. With `parents`
    any pattern may.
    """
    found: list[Source] = []
    groups = 0
    for written in patterns:
        if parents:
            for sources in _with_parents(tree, written, place):
                found += (replace(source, group=groups) for source in sources)
                groups += 1
            continue
        pattern = clamp(written)
        if _PATTERN.isdisjoint(pattern):
            found.append(Source(_follow(tree, pattern, written, place), pattern, posixpath.basename(pattern)))
            continue
        if folder := _plain_beginning(pattern):
            _follow(tree, folder, written, place)
        for path in _glob(tree, pattern):
            found.append(Source(_follow(tree, path, written, place), path, posixpath.basename(path)))
    return tuple(found)


def find_source(tree: Tree, written: str, *, place: str) -> Source:
    """What one path names, which is no pattern; links are followed. A `MissingSource` if nothing is there."""
    path = clamp(written)
    return Source(_follow(tree, path, written, place), path, posixpath.basename(path))


def check_required(tree: Tree, source: Source, rules: Ignore) -> None:
    """Refuse a source of `--parents` that no pattern names and of which `--exclude` leaves nothing."""
    if not tree.measure(source.node, exclude=rules)[0]:
        raise StepError(
            f'--exclude leaves nothing of "{source.path}", which is named without a pattern',
            hint="leave the source out, or change --exclude",
            about=("--exclude",),
        )


def _glob(tree: Tree, pattern: str, *, double_star: bool = False) -> Iterator[str]:
    for node in tree.glob(_raw(pattern), double_star=double_star):
        yield _text(tree.entry(node).path)


def makes_folder(tree: Tree, written: str) -> bool:
    """Whether a word of `COPY --parents` makes the destination, even if it copies nothing: it has a folder to look in."""
    top, _ = _split(written)
    if _PATTERN.isdisjoint(top):
        return True
    return any(tree.entry(tree.find(_raw(path), follow=True)).kind == "d" for path in _glob(tree, top))


def _split(written: str) -> tuple[str, str]:
    """A word of `COPY --parents`: the part in front of `/./`, nothing for the root, and the pattern to match below it."""
    before, mark, behind = ("/" + written.removeprefix("./")).partition("/./")
    return clamp(before if mark else ""), clamp(behind if mark else written)


def _with_parents(tree: Tree, written: str, place: str) -> Iterator[tuple[Source, ...]]:
    """The sources of a word of `COPY --parents`, one tuple for each folder to look in: a pattern that is matched below the
    part in front of `/./`, the root without one. No link is followed but those of that part. Where that part is a file
    it is copied itself.
    """
    root, pattern = _split(written)
    if not pattern:
        raise StepError(
            f'"{written}" names nothing for --parents to copy',
            hint="write a name or a pattern, such as *",
            about=(f" {written} ",),
        )
    plain = _PATTERN.isdisjoint(root)
    if plain and _PATTERN.isdisjoint(pattern):
        cut = len(root) + 1 if root else 0
        node = _find_itself(tree, root, pattern, written, place)
        yield (replace(_below(node, f"{root}/{pattern}".lstrip("/"), cut), required=True),)
        return
    for path in (root,) if plain else _glob(tree, root):
        node = _follow(tree, path, written, place)
        if tree.entry(node).kind == "d":
            yield tuple(_matching(tree, _text(tree.entry(node).path), pattern))
        else:
            yield (Source(node, path, posixpath.basename(path)),)


def _matching(tree: Tree, top: str, pattern: str) -> Iterator[Source]:
    """What a pattern matches below a folder."""
    cut = len(top) + 1 if top else 0
    folder = f"{top}/{_plain_beginning(pattern)}".strip("/")
    try:
        if _text(tree.entry(tree.find(_raw(folder), follow=True)).path) != folder:
            return  # it leads through a link
    except CoreError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return
        raise
    for path in _glob(tree, f"{_as_pattern(top)}/{pattern}".lstrip("/"), double_star=True):
        if len(path) > len(top):
            yield _below(tree.find(_raw(path), follow=False), path, cut)


def _plain_beginning(pattern: str) -> str:
    """The folder that is named in front of the first part of a pattern that is none itself."""
    return "/".join(takewhile(_PATTERN.isdisjoint, posixpath.dirname(pattern).split("/")))


def _as_pattern(path: str) -> str:
    return re.sub(r"[*?[\\]", r"\\\g<0>", path)


def _below(node: int, path: str, cut: int) -> Source:
    folder, steps = posixpath.dirname(path), []
    while len(folder) > cut:
        steps.append(folder)
        folder = posixpath.dirname(folder)
    return Source(node, path, posixpath.basename(path), path[cut:], tuple(reversed(steps)), cut)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _find_itself(tree: Tree, top: str, pattern: str, written: str, place: str) -> int:
    """The node at a path below `top` that no link leads to; nor may `top` be one itself."""
    try:
        root = tree.entry(tree.find(_raw(top), follow=True)).path
        path = root + b"/" * bool(root) + _raw(pattern)
        node = tree.find(path, follow=False)
        if tree.entry(node).path == path and tree.entry(tree.find(_raw(top), follow=False)).kind == "d":
            return node
    except CoreError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        raise _missing(tree, written, f"{top}/{pattern}", place) from None
    raise StepError(
        f'"{written}" leads through a link, which --parents does not follow',
        about=(written,),
        hint="write the path that the link stands for",
    )


def _follow(tree: Tree, path: str, written: str, place: str) -> int:
    """The node at a path; links are followed inside the tree."""
    try:
        return tree.find(_raw(path), follow=True)
    except CoreError as error:
        nowhere, circle = error.errno in (errno.ENOENT, errno.ENOTDIR), error.errno == errno.ELOOP
        if not nowhere and not circle:
            raise
        if nowhere and not _is_link(tree, path):
            raise _missing(tree, written, path, place) from None
        matched = "" if path == clamp(written) else f', which "{written}" matches,'
        leads = " leads in a circle of links" if circle else " is a link that leads to nothing"
        raise StepError(f'"{path}"{matched}{leads} in {place}', about=(written,)) from None


def _is_link(tree: Tree, path: str) -> bool:
    try:
        return tree.entry(tree.find(_raw(path), follow=False)).kind == "l"
    except CoreError:
        return False


def _missing(tree: Tree, written: str, path: str, place: str) -> MissingSource:
    """The error for a source that is not there, with the name beside it that is spelled most like it."""
    from builder.graph.places import nearest

    folder, _, name = clamp(path).rpartition("/")
    try:
        beside = [*_glob(tree, f"{_as_pattern(folder)}/*".lstrip("/"))]
    except CoreError:
        beside = []
    near = nearest(name, [posixpath.basename(other) for other in beside])
    root = "/" if written.startswith("/") else ""
    if near:
        hint = f"did you mean {root}{posixpath.join(folder, near)}?"
    elif written.split("/", 1)[0] == "..":
        hint = "nothing outside is taken: .. of its root is the root; --build-context gives another folder a name"
    elif "context" in place:
        hint = "check the spelling, and whether an ignore file leaves it out"
    else:
        hint = "check the spelling, and which stage makes it"
    return MissingSource(
        f'"{written}" is not in {place}',
        hint=hint,
        about=(written, written.lstrip("/")),
    )
