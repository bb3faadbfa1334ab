"""How the text of files differs between two runs of a COPY, from what the store still has of both.

Sizes are bounded, and files that are no text are only named. The files may be anything: whoever shows the lines must make
them harmless.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator

from builder.core.files import open_in_root
from builder.errors import BuilderError, CoreError
from builder.events import Reason
from builder.store.history import BuildStep
from builder.store.records import Record
from builder.store.store import Store
from builder.value import dataclass

# Larger files are named only.
_LARGEST = 256 << 10
_MOST_LINES = 4000
# Lines of one difference that are told.
_TOLD = 200
_MOST_FILES = 20
_GONE = "not in the store any more"
_ELSEWHERE = "not here: it was compared with what a remote cache has"


@dataclass(frozen=True, slots=True)
class FileDifference:
    """One file that changed, by its path in the context. `lines` are a unified diff, without line ends.

    `note` says why there are none: it is binary, too large, not in the store any more, or has a name that
    reasons hold escaped.
    """

    path: str
    lines: tuple[str, ...] = ()
    note: str = ""


def step_differences(store: Store, step: BuildStep) -> tuple[FileDifference, ...]:
    """The differences of the files that a step's reasons name, against the run that it was compared with."""
    files = [reason for reason in step.reasons if reason.part.startswith("file ")]
    if not files:
        return ()
    before: Record | str | None = store.records.find(step.compared) if step.compared else _ELSEWHERE
    after = store.records.find(step.key) if step.key else None
    found = [_difference(store, reason, before or _GONE, after or _GONE) for reason in files[:_MOST_FILES]]
    return tuple(one for one in found if one.note or one.lines)


def _difference(store: Store, reason: Reason, before: Record | str, after: Record | str) -> FileDifference:
    path = reason.part.removeprefix("file ")
    old = b"" if reason.kind == "added" else _content(store, before, path)
    new = b"" if reason.kind == "removed" else _content(store, after, path)
    if isinstance(old, str) or isinstance(new, str):
        note = old if isinstance(old, str) else f"the newer version is {new!s}"
        return FileDifference(path, note=str(note))
    names = (
        "/dev/null" if reason.kind == "added" else f"a/{path}",
        "/dev/null" if reason.kind == "removed" else f"b/{path}",
    )
    return text_difference(path, old, new, names)


def text_difference(path: str, old: bytes, new: bytes, names: tuple[str, str]) -> FileDifference:
    """How two versions of a file differ, as far as they are text; `names` is what the diff calls them."""
    if b"\0" in old[:8192] or b"\0" in new[:8192]:
        return FileDifference(path, note=f"binary: {len(old)} → {len(new)} bytes")
    before_lines, after_lines = (data.decode("utf-8", "replace").splitlines() for data in (old, new))
    if max(len(before_lines), len(after_lines)) > _MOST_LINES:
        return FileDifference(path, note="too many lines")
    told = list(difflib.unified_diff(before_lines, after_lines, *names, lineterm=""))
    if len(told) > _TOLD:
        told[_TOLD:] = [f"… {len(told) - _TOLD} more lines"]
    return FileDifference(path, tuple(told))


def _content(store: Store, record: Record | str, path: str) -> bytes | str:
    """What a file of the context was in a run of the step, or why that cannot be told; `record` may say that itself."""
    if "\\" in path:  # reasons hold such names escaped
        return "not compared: its name has a backslash, or signs that are shown with one"
    if isinstance(record, str):
        return record
    for place in _places(record, path):
        found = _read(store, record.state, place)
        if found is not None:
            return found
    return _GONE


def _places(record: Record, path: str) -> Iterator[str]:
    """Where a file of the context may have been copied to."""
    destination = next((value for kind, _, value in record.parts if kind == "destination"), "/")
    options = {name for kind, name, _ in record.parts if kind == "option"}
    sources = [name for kind, name, _ in record.parts if kind == "file"]
    if "parents" in options:
        yield f"{destination}/{path}"
    for source in sorted(sources, key=len, reverse=True):
        if path == source:
            yield f"{destination}/{os.path.basename(path)}"
            yield destination
        elif not source or path.startswith(f"{source}/"):
            yield f"{destination}/{path[len(source) :].lstrip('/')}"


def _read(store: Store, state: bytes, path: str) -> bytes | str | None:
    """A file of a state, from the topmost snapshot that has it; None if none has."""
    try:
        chain = store.chain(state)
    except BuilderError:
        return None
    for one in reversed(chain):
        if not one.snapshot:
            return "not here: only a remote cache has it"
        root = os.open(store.states.path(one), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
        try:
            found = _read_below(root, path.encode("utf-8", "surrogateescape"))
        finally:
            os.close(root)
        if found is not None:
            return found
    return None


def _read_below(root: int, path: bytes) -> bytes | str | None:
    """A file of one snapshot, or where a link leads to; None if there is no such thing."""
    folder, _, name = path.strip(b"/").rpartition(b"/")
    try:
        fd = open_in_root(root, folder or b".", os.O_PATH | os.O_DIRECTORY)
    except CoreError:
        return None
    try:
        if stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            return b"link to " + os.readlink(name, dir_fd=fd)
        file = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return None
    finally:
        os.close(fd)
    try:
        return read_regular(file)
    finally:
        os.close(file)


def read_regular(fd: int) -> bytes | str:
    """The content of a file; of a device or the like nothing is opened."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        return "no file"
    if found.st_size > _LARGEST:
        return f"too large: {found.st_size} bytes"
    try:
        with open(f"/proc/self/fd/{fd}", "rb") as stream:
            return stream.read(_LARGEST)
    except OSError as error:
        return f"not readable: {error.strerror}"
