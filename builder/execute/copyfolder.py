"""COPY of one folder, straight into the directory that takes a step's changes.

A new file costs less than half there of what it does through an overlay mount, and two threads can make them. The destination is
found and made through the mount, as for any other COPY; the contents follow when nothing is mounted any more.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from builder.core.files import copy_folder, make_directory, open_in_root
from builder.errors import CoreError
from builder.execute.copy import Bundle, Exclude, OnUnknown, bundle_options, step_error
from builder.execute.rootfs import StepRoot
from builder.graph.steps import CopyStep


def copy_one_folder(
    step: CopyStep,
    root: StepRoot,
    bundles: Sequence[Bundle],
    exclude: Exclude,
    *,
    users_fd: int,
    to_root: bool,
    on_unknown: OnUnknown = None,
) -> int | None:
    """Carry out a COPY or ADD of one folder and nothing else: the bytes that were copied; None for any other, of which nothing
    was done then. The parameters are those of `copy_files`. The root is not mounted any more afterwards.
    """
    if len(bundles) != 1 or len(bundles[0].sources) != 1 or step.inline or step.parents:
        return None
    (bundle,) = bundles
    (source,) = bundle.sources
    if bundle.tree.entry(source.node).kind != "d":
        return None
    unknown: list[str] = []
    options = bundle_options(step, users_fd, bundle, to_root=to_root, on_unknown=unknown.append)
    path = os.fsencode(step.destination).strip(b"/")
    upper = root.open_upper()
    try:
        if not _make_destination(
            root.fd, b"/" + path, options.parent_mode, options.parent_uid, options.parent_gid
        ):
            return None
        if not is_plain_folder(upper, step.destination):  # a link leads elsewhere
            return None
        if on_unknown is not None:
            for name in unknown:
                on_unknown(name)
        root.close()
        lower = root.open_lower()
        try:
            copied = copy_folder(
                bundle.tree,
                source.node,
                options,
                upper,
                lower,
                path,
                exclude=exclude(source),
                known=root.known,
            )
        except CoreError as error:
            raise step_error(step, source, error) from error
        finally:
            if lower >= 0:
                os.close(lower)
        return copied.bytes
    finally:
        os.close(upper)


def _make_destination(root: int, path: bytes, mode: int, uid: int, gid: int) -> bool:
    """Make the destination with what is missing above it; one that is there is brought up to where the changes go."""
    try:
        make_directory(root, path, 0o755 if mode < 0 else mode, uid, gid)
        fd = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except CoreError:
        return False  # the ordinary way says what is wrong
    try:
        os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode))
    finally:
        os.close(fd)
    return True


def is_plain_folder(root: int, path: str) -> bool:
    """Whether a path is a folder, and no link on the way to it."""
    names = [name for name in path.split("/") if name]
    try:
        return all(
            stat.S_ISDIR(stat_inside(root, "/".join(names[: count + 1])).st_mode)
            for count in range(len(names))
        )
    except OSError:
        return False


def stat_inside(root: int, path: str) -> os.stat_result:
    """The stat data of a path as a chroot in `root` sees it; a link in the last place is not followed."""
    try:
        fd = open_in_root(root, path.encode("utf-8", "surrogateescape"), os.O_PATH | os.O_NOFOLLOW)
    except CoreError as error:
        raise OSError(error.errno, error.message) from None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)
