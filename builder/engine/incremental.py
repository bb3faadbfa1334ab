"""COPY of a folder that changed little: the earlier result of the same step, as hard links, and only the changes copied.

The result is the same as that of a whole copy, down to the state: what cannot be shown to be is copied as a whole. Snapshots
are never written to, so that they may share files.
"""

from __future__ import annotations

import os
import shutil
import stat

from builder.cache.key import Part
from builder.core.files import link_tree, open_in_root, remove_tree
from builder.core.tree import Change, Tree, listing_diff
from builder.errors import CoreError
from builder.execute.copyfolder import is_plain_folder, stat_inside
from builder.execute.rootfs import StepRoot, open_state
from builder.execute.sources import Source
from builder.graph.steps import CopyStep
from builder.store.listings import drop_damaged
from builder.store.records import Record
from builder.store.runs import Run
from builder.store.store import Store
from builder.value import dataclass

# More changes than these are not worth the care.
MOST_CHANGES = 1000
# Fewer entries than these are copied in no time.
WORTH_IT = 200
# Parts that may differ between two runs of a step: which files there are, and what they are put upon.
_MAY_DIFFER = frozenset({"file", "parent"})
# Kinds of changes after which an entry can be copied anew; of a folder only its being added is one.
_COPIED = frozenset({"content", "added", "mode", "xattrs", "target"})


@dataclass(frozen=True, slots=True)
class Delta:
    """What to do once the earlier result is there: paths below the source folder to copy anew, and paths that are gone."""

    changed: tuple[str, ...]
    removed: tuple[str, ...]


def find_delta(
    store: Store,
    step: CopyStep,
    source: Source,
    tree: Tree,
    parts: tuple[Part, ...],
    earlier: Record,
    listing: str,
) -> Delta | None:
    """What changed since an earlier record of the step; None if a whole copy is safer.

    `parts` are those of the step's key now, `listing` is the file that says what its sources are now.
    """
    if _options(earlier.parts) != _options(_plain(parts)):
        return None
    entries, _, links = tree.measure(source.node)
    if step.exclude or entries < WORTH_IT or links:
        return None
    try:
        changes, total = listing_diff(
            store.listing_file(earlier.slot, earlier.listing), listing, store.secret, MOST_CHANGES
        )
    except CoreError as error:
        drop_damaged(store, error)
        return None
    if total > len(changes):
        return None
    changed, removed = [], []
    for change in changes:
        path = _below(change, source)
        if not path or not _is_simple(change, tree):
            return None
        if change.kind == "removed":
            removed.append(path)
        else:
            changed.append(path)
    return Delta(tuple(changed), tuple(removed))


def _options(parts: tuple[tuple[str, str, str], ...]) -> list[tuple[str, ...]]:
    """All that must be the same; of the files only their names."""
    return [part[:2] if part[0] in _MAY_DIFFER else part for part in parts]


def _plain(parts: tuple[Part, ...]) -> tuple[tuple[str, str, str], ...]:
    return tuple((part.kind, part.name, part.value) for part in parts)


def _below(change: Change, source: Source) -> str:
    """A changed path relative to the source folder; empty for the folder itself and for names that are shown escaped."""
    if "\\" in change.path:
        return ""
    if not source.path:
        return change.path
    return change.path.removeprefix(f"{source.path}/") if change.path.startswith(f"{source.path}/") else ""


def _is_simple(change: Change, tree: Tree) -> bool:
    """Whether a change is one of files that can be copied again one by one."""
    if change.kind == "removed":
        return True
    if change.kind not in _COPIED:
        return False
    entry = tree.entry(tree.find(change.path.encode("utf-8", "surrogateescape"), follow=False))
    return entry.kind != "d" or change.kind == "added"


def prepare(store: Store, step: CopyStep, run: Run, parent: bytes, earlier: Record, delta: Delta) -> bool:
    """Fill the upper directory of a run with the earlier result, without what is gone; False if that cannot be done."""
    state = store.states.get(earlier.state)
    stood_on = next((value for kind, _, value in earlier.parts if kind == "parent"), "")
    # A step that changed nothing has its parent's state, whose snapshot is another step's; files that came from elsewhere
    # have the times of another machine.
    if (
        state is None
        or not state.snapshot
        or any(layer.pulled for layer in store.layers.of_state(earlier.state))
        or state.parent.hex() != stood_on
        or not _stands_alike(store, step, state.parent, parent)
    ):
        return False
    before = os.open(store.states.path(state), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
    upper = os.open(run.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
    try:
        if not is_plain_folder(before, step.destination):
            return False
        link_tree(before, upper)
        store.sizes.linked(state.snapshot)
        for path in delta.removed:
            _remove(upper, f"{step.destination}/{path}")
    except (CoreError, OSError):  # too many links of a file, or none on this file system: begin anew
        _empty(store, run)
        return False
    finally:
        os.close(before)
        os.close(upper)
    return True


def recall(store: Store, root: StepRoot, earlier: Record) -> None:
    """Let what is known of the earlier result's files be known of the links to them."""
    state = store.states.get(earlier.state)
    if state is None:
        return
    folder = os.open(store.states.path(state), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd)
    try:
        root.known.load(folder, store.fd, store.states.facts_path(state))
    finally:
        os.close(folder)


def _empty(store: Store, run: Run) -> None:
    path = os.path.join(store.path, run.upper)
    shutil.rmtree(path)
    os.mkdir(path, 0o755)
    os.chmod(path, 0o755)


def _stands_alike(store: Store, step: CopyStep, earlier: bytes, now: bytes) -> bool:
    """Whether what the files were put upon cannot make a difference: the same state, or two in which the destination is
    missing and the folders above it are alike. (What equals the files below it is no part of a snapshot.)
    """
    if earlier == now:
        return True
    roots = [open_state(store, state) for state in (earlier, now)]
    try:
        if -1 in roots:
            return False
        looks = [_look(root, step.destination) for root in roots]
        return looks[0] == looks[1] and looks[0] is not None
    finally:
        for root in roots:
            if root >= 0:
                os.close(root)


def _look(root: int, destination: str) -> list[tuple[int, int, int]] | None:
    """Mode and owner of each folder above a destination; None if the destination is there, or a link is on the way."""
    found: list[tuple[int, int, int]] = []
    names = [name for name in destination.split("/") if name]
    for count in range(len(names) + 1):
        try:
            seen = stat_inside(root, "/".join(names[:count]))
        except (FileNotFoundError, NotADirectoryError):
            return found
        if not stat.S_ISDIR(seen.st_mode):
            return None
        found.append((seen.st_mode, seen.st_uid, seen.st_gid))
    return None


def _remove(root: int, path: str) -> None:
    folder, name = os.path.split(path.encode("utf-8", "surrogateescape"))
    fd = open_in_root(root, folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        remove_tree(fd, name)
    finally:
        os.close(fd)
