"""COPY and ADD: files of a tree, archives and files given in place, into a step's root file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from builder.core.files import Copier, CopyOptions, make_directory, open_in_root
from builder.core.tree import Ignore, Tree
from builder.errors import CoreError, StepError
from builder.execute.archive import is_archive, unpack_archive
from builder.execute.sources import Source, makes_folder
from builder.graph.steps import CopyStep
from builder.sandbox.users import lookup_owner
from builder.value import dataclass, replace

OnUnknown = Callable[[str], None] | None
# What `--exclude` leaves out of a source.
Exclude = Callable[[Source], Ignore | None]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Sources in one tree, whose root `fd` is open. `unpack` says to unpack those that are archives; `time` (in
    nanoseconds) is what the copies' times become, -1 keeps them; `chmod` is for a step that says none.
    """

    tree: Tree
    fd: int
    sources: tuple[Source, ...]
    unpack: bool = False
    time: int = -1
    chmod: str | None = None


def copy_files(
    step: CopyStep,
    root_fd: int,
    bundles: Sequence[Bundle],
    exclude: Exclude,
    *,
    users_fd: int,
    to_root: bool,
    time: int = -1,
    on_unknown: OnUnknown = None,
) -> int:
    """Carry out a COPY or ADD: the bundles in their order, then the files given in place. The bytes that were copied.

    `users_fd` is the root file system where `--chown` names are looked up; `on_unknown` is told of those that it has
    not. `to_root` gives the files to root, whoever has them. `time` (in nanoseconds) is when files given
    in place were made, -1 is now. Failures are `StepError`s that name the source.
    """
    options = _options(step, users_fd, to_root=to_root, on_unknown=on_unknown)
    if step.parents and any(makes_folder(bundle.tree, word) for bundle in bundles for word in step.sources):
        mode = options.parent_mode if options.parent_mode >= 0 else 0o755
        make_directory(root_fd, os.fsencode(step.destination), mode, options.parent_uid, options.parent_gid)
    copied = sum(_copy_bundle(step, root_fd, bundle, exclude, options) for bundle in bundles)
    if step.inline:
        with Copier(root_fd, replace(options, time=time)) as copier:
            for file in step.inline:
                copier.add_bytes(
                    file.content, os.fsencode(step.destination), base=os.fsencode(file.name), mode=file.mode
                )
            copier.finish()
    return copied


def copy_changes(
    step: CopyStep,
    root_fd: int,
    tree: Tree,
    changes: Sequence[tuple[Source, str]],
    *,
    users_fd: int,
    time: int = -1,
    chmod: str | None = None,
    on_unknown: OnUnknown = None,
) -> int:
    """Copy single entries of a folder to where a COPY of the whole folder would put them. The bytes that were copied.

    `time` and `chmod` as those of a `Bundle`. A `StepError` also if a new folder would have to be merged with one that is
    there, which only the whole copy can.
    """
    options = _options(step, users_fd, to_root=True, on_unknown=on_unknown)
    options = _or_chmod(step, replace(options, time=time, separate_links=False), chmod)  # as the whole folder
    with Copier(root_fd, options) as copier:
        for source, target in changes:
            try:
                if tree.entry(source.node).kind == "d":
                    if _is_there(root_fd, target):
                        raise StepError(
                            f'"{target}" is there below: the whole folder has to be merged with it'
                        )
                    copier.add_folder(tree, source.node, os.fsencode(target))
                    copier.add(tree, source.node, os.fsencode(target))
                else:  # into its folder, not into a folder of its name
                    above, _, name = target.rpartition("/")
                    copier.add(tree, source.node, os.fsencode(f"{above}/"), base=os.fsencode(name))
            except CoreError as error:
                raise step_error(step, source, error) from error
        return copier.finish().bytes


def _is_there(root_fd: int, path: str) -> bool:
    try:
        os.close(open_in_root(root_fd, os.fsencode(path), os.O_PATH | os.O_NOFOLLOW))
    except CoreError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    return True


def _copy_bundle(step: CopyStep, root_fd: int, bundle: Bundle, exclude: Exclude, options: CopyOptions) -> int:
    tree, destination = bundle.tree, os.fsencode(step.destination)
    made: set[str] = set()
    copied, group, options = 0, 0, _for_bundle(step, options, bundle)
    with ExitStack() as stack:
        copier = stack.enter_context(Copier(root_fd, options))
        for source in bundle.sources:
            try:
                if (
                    bundle.unpack
                    and tree.entry(source.node).kind == "f"
                    and is_archive(bundle.fd, source.path)
                ):
                    owner = {"uid": options.uid, "gid": options.gid} if step.chown else {}
                    copied += copier.finish().bytes
                    unpack_archive(bundle.fd, source.path, root_fd, step.destination, **owner)
                    # What the archive replaced, nothing may be linked to.
                    copier = stack.enter_context(Copier(root_fd, options))
                    continue
                if source.group != group:
                    copied, group = copied + copier.finish().bytes, source.group
                    copier = stack.enter_context(Copier(root_fd, options))
                rules = exclude(source)
                if step.parents and rules and not tree.measure(source.node, exclude=rules)[0]:
                    continue  # nor are folders made for what is left out
                target = _make_parents(copier, tree, step, source, made) if step.parents else destination
                copier.add(tree, source.node, target, base=os.fsencode(source.name), exclude=rules)
            except CoreError as error:
                raise step_error(step, source, error) from error
        return copied + copier.finish().bytes


def _options(step: CopyStep, users_fd: int, *, to_root: bool, on_unknown: OnUnknown) -> CopyOptions:
    # Files of a folder on this machine belong to root in the image, whoever has them here.
    uid, gid = (0, 0) if to_root or step.inline else (-1, -1)
    if step.chown is not None:
        uid, gid = lookup_owner(users_fd, step.chown, on_unknown=on_unknown)
    options = CopyOptions(
        uid=uid,
        gid=gid,
        parent_uid=max(uid, 0) if step.chown is not None else 0,
        parent_gid=max(gid, 0) if step.chown is not None else 0,
        keep_directory_times=not to_root,
        no_follow_destination=step.link,
        separate_links=not step.parents,
    )
    if step.chmod is None:
        return options
    if step.chmod.isdigit():
        mode = int(step.chmod, 8)
        return replace(options, mode=mode, parent_mode=mode & 0o777)
    return replace(options, symbolic_mode=step.chmod)


def bundle_options(
    step: CopyStep, users_fd: int, bundle: Bundle, *, to_root: bool, on_unknown: OnUnknown
) -> CopyOptions:
    """How the sources of a bundle are copied; see `copy_files`."""
    options = _options(step, users_fd, to_root=to_root, on_unknown=on_unknown)
    return _for_bundle(step, options, bundle)


def _for_bundle(step: CopyStep, options: CopyOptions, bundle: Bundle) -> CopyOptions:
    return _or_chmod(step, replace(options, time=bundle.time), bundle.chmod)


def _or_chmod(step: CopyStep, options: CopyOptions, chmod: str | None) -> CopyOptions:
    """Options with the mode that files get if the step says none."""
    return options if step.chmod is not None or chmod is None else replace(options, symbolic_mode=chmod)


def _make_parents(copier: Copier, tree: Tree, step: CopyStep, source: Source, made: set[str]) -> bytes:
    """Recreate the folders above a source, with their modes, each once; say where the source goes."""
    if not source.below:  # a file that was to be looked in
        return os.fsencode(step.destination)
    below = step.destination.rstrip("/") + "/"
    for folder in source.parents:
        if folder not in made:
            made.add(folder)
            place = os.fsencode(below + folder[source.cut :])
            copier.add_folder(tree, tree.find(os.fsencode(folder)), place)
    target = below + source.folder
    if tree.entry(source.node).kind == "d":
        made.add(source.path)
        target += source.name
        copier.add_folder(tree, source.node, os.fsencode(target), itself=True)
        target += "/"
    return os.fsencode(target)


def step_error(step: CopyStep, source: Source, error: CoreError) -> StepError:
    """What a failed copy means to the reader."""
    shown = source.path or "."
    if error.errno == errno.ESTALE:
        return StepError(
            f'"{shown}" changed while it was copied',
            hint="build again when nothing writes to it",
            about=(shown,),
        )
    if error.errno == errno.ENOSPC:
        return StepError(f'no space is left to copy "{shown}"', hint="free some space where the store is")
    again = f"copy {step.destination}: "
    return StepError(
        f'cannot copy "{shown}" to {step.destination}: {error.message.removeprefix(again)}',
        about=(step.destination, step.destination.rstrip("/"), shown),
    )
