"""COPY and ADD: files of a tree, archives and files given in place, into a step's root file system."""

from __future__ import annotations

import errno
import os

from builder.core.files import Copier, CopyOptions
from builder.core.tree import Ignore, Tree
from builder.errors import CoreError, StepError
from builder.execute.archive import is_archive, unpack_archive
from builder.execute.sources import Source
from builder.graph.steps import CopyStep
from builder.sandbox.users import lookup_owner
from builder.value import replace


def copy_files(
    step: CopyStep,
    root_fd: int,
    tree: Tree | None,
    tree_fd: int,
    sources: tuple[Source, ...],
    exclude: Ignore | None,
    *,
    users_fd: int,
    to_root: bool,
) -> None:
    """Carry out a COPY or ADD.

    `tree` (with its root's descriptor) holds the sources; None if all are given in place. `users_fd` is the root
    file system where `--chown` names are looked up; `to_root` gives the files to root, whoever has them.
    Failures are `StepError`s that name the source.
    """
    options = _options(step, users_fd, len(sources) + len(step.inline), to_root=to_root)
    destination = os.fsencode(step.destination)
    with Copier(root_fd, options) as copier:
        for file in step.inline:
            base = os.fsencode(file.name)
            copier.add_bytes(file.content, destination, base=base, mode=file.mode)
        for source in sources:
            assert tree is not None
            try:
                if _unpacks(step, tree, tree_fd, source):
                    owner = {"uid": options.uid, "gid": options.gid} if step.chown else {}
                    unpack_archive(tree_fd, source.path, root_fd, step.destination, **owner)
                    continue
                target = destination
                if step.parents:
                    target = _make_parents(copier, tree, step, source)
                copier.add(tree, source.node, target, base=os.fsencode(source.name), exclude=exclude)
            except CoreError as error:
                raise _step_error(step, source, error) from error
        copier.finish()


def _options(step: CopyStep, users_fd: int, count: int, *, to_root: bool) -> CopyOptions:
    # Files of a folder on this machine belong to root in the image, whoever has them here.
    uid, gid = (0, 0) if to_root or step.inline else (-1, -1)
    if step.chown is not None:
        uid, gid = lookup_owner(users_fd, step.chown)
    options = CopyOptions(
        uid=uid,
        gid=gid,
        parent_uid=max(uid, 0) if step.chown is not None else 0,
        parent_gid=max(gid, 0) if step.chown is not None else 0,
        keep_directory_times=not to_root,
        no_follow_destination=step.link,
        into_directory=count > 1,
    )
    if step.chmod is None:
        return options
    if step.chmod.isdigit():
        mode = int(step.chmod, 8)
        return replace(options, mode=mode, parent_mode=mode)
    return replace(options, symbolic_mode=step.chmod)


def _unpacks(step: CopyStep, tree: Tree, tree_fd: int, source: Source) -> bool:
    if step.keyword != "ADD" or step.unpack is False:
        return False
    return tree.entry(source.node).kind == "f" and is_archive(tree_fd, source.path)


def _make_parents(copier: Copier, tree: Tree, step: CopyStep, source: Source) -> bytes:
    """Recreate the folders above a source, with their modes, and say where the source goes."""
    below = step.destination.rstrip("/") + "/"
    for folder in source.parents:
        copier.add_folder(tree, tree.find(os.fsencode(folder)), os.fsencode(below + folder[source.cut :]))
    target = below + source.folder
    if tree.entry(source.node).kind == "d":
        target += source.name
        copier.add_folder(tree, source.node, os.fsencode(target))
        target += "/"
    return os.fsencode(target)


def _step_error(step: CopyStep, source: Source, error: CoreError) -> StepError:
    """What a failed copy means to the reader."""
    shown = source.path or "."
    if error.errno == errno.ESTALE:
        return StepError(
            f'"{shown}" changed while it was copied', hint="build again when nothing writes to it"
        )
    if error.errno == errno.ENOSPC:
        return StepError(f'no space is left to copy "{shown}"', hint="free some space where the store is")
    return StepError(f'cannot copy "{shown}" to {step.destination}: {error.message}')
