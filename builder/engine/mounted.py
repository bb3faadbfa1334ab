"""What the mounts of a RUN show, or begin with: files of contexts, stages and images. They count as far as they are below the
source of the mount, whatever else is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

from builder.cache.key import SCRATCH, Part
from builder.cache.links import links_of
from builder.cache.names import LOCAL, Names
from builder.cache.parts import mount_part
from builder.core.tree import Tree, hash_bytes
from builder.engine.session import Session
from builder.errors import StoreError
from builder.graph.steps import FromContext, FromNamed, MountSpec, Origin
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.cache.portable import Portables

# Of files that were read by an earlier build so many bytes are read again to list them.
_READ_AGAIN = 16 << 20


@dataclass(frozen=True, slots=True)
class Shown:
    """What one mount shows: the state that it is of (hexadecimal; empty for a folder of this machine), where it lies in that, and
    the name of the listing that says what it is.
    """

    state: str
    path: str
    listing: str


@dataclass(frozen=True, slots=True)
class _Found:
    """Files in a tree, which is to be locked while it is looked at; `state` is empty for those of a context."""

    tree: Tree
    node: int
    lock: AbstractContextManager[object]
    state: bytes


class Mounted:
    """The files of the mounts of one RUN. `state_of` gives the state of a stage or image, and is asked once for each."""

    def __init__(
        self, session: Session, mounts: Sequence[MountSpec], state_of: Callable[[object], bytes]
    ) -> None:
        self._session, self._mounts, self._state_of = session, mounts, state_of
        self._stack = ExitStack()
        self._states: dict[object, bytes] = {}
        self._trees: dict[bytes, Tree] = {}
        self._found: dict[MountSpec, _Found] = {}
        self._names: dict[tuple[MountSpec, bool], str] = {}
        self._read: set[MountSpec] = set()

    def close(self) -> None:
        """Let go of the files."""
        self._found.clear()
        self._trees.clear()
        self._stack.close()

    def state_of(self, origin: object) -> bytes:
        """The state of a stage or image."""
        if origin not in self._states:
            self._states[origin] = self._state_of(origin)
        return self._states[origin]

    def states(self) -> tuple[bytes, ...]:
        """The states that mounts take files from."""
        return tuple(
            self.state_of(origin)
            for mount in self._mounts
            if mount.brings_files and not self._is_folder(origin := _origin(mount))
        )

    def parts(self, names: Names, *, by_files: bool) -> list[Part]:
        """The parts of the mounts. With `by_files` those that show a stage or image tell which files these are, else only of
        which state they are.
        """
        return [mount_part(mount, self._content(mount, names, by_files)) for mount in self._mounts]

    def _content(self, mount: MountSpec, names: Names, by_files: bool) -> str:
        if not mount.brings_files:
            return ""
        origin = _origin(mount)
        if self._is_folder(origin) or by_files:
            return self.name(mount, names)
        return names.of_state(self.state_of(origin)).hex()

    def _is_folder(self, origin: Origin) -> bool:
        return self._session.contexts.is_folder(origin)

    def name(self, mount: MountSpec, names: Names = LOCAL) -> str:
        """What the files of a mount are called: equal names are equal files, with equal hard links among them."""
        known = (mount, names is LOCAL)
        if known not in self._names:
            self._names[known] = self._find_name(mount, names)
        return self._names[known]

    def _find_name(self, mount: MountSpec, names: Names) -> str:
        origin = _origin(mount)
        contents, portable = self._session.store.contents, names is not LOCAL
        state = b"" if self._is_folder(origin) else self.state_of(origin)
        if state:
            name = contents.get(state, mount.source, portable=portable)
            if name is not None:
                return name
        found = self._find(mount)
        with found.lock:
            name = names.files(found.tree, found.node, exclude=None, without_owner=not state)
            name += links_of(found.tree, found.node)
        if not portable:
            self._read.add(mount)
        if any(state):
            contents.put(state, mount.source, name, portable=portable)
        return name

    def _find(self, mount: MountSpec) -> _Found:
        """The files of a mount. Raises a `MissingSource` if there are none."""
        found = self._found.get(mount)
        if found is None:
            found = self._found[mount] = self._look(mount)
        return found

    def _look(self, mount: MountSpec) -> _Found:
        from builder.execute.sources import MissingSource, find_source, see_why  # late: most are known

        origin = _origin(mount)
        if not self._is_folder(origin):
            state = self.state_of(origin)
            tree = self._tree(state)
            place = "the stage or image that the mount is from"
            try:
                return _Found(tree, find_source(tree, mount.source, place=place).node, nullcontext(), state)
            except MissingSource as error:
                error.about = (f"source={mount.source}", f"src={mount.source}", *error.about)
                raise
        folder = self._session.contexts.of(origin)
        place = f'the context "{origin.name}"' if isinstance(origin, FromNamed) else "the build context"
        with folder.lock:
            try:
                node = find_source(folder.tree, mount.source, place=place).node
            except MissingSource as error:
                see_why(error, folder.fd, folder.hint)
                raise
        return _Found(folder.tree, node, folder.lock, b"")

    def _tree(self, state: bytes) -> Tree:
        tree = self._trees.get(state)
        if tree is None:
            from builder.execute.rootfs import open_state  # late: mounts of contexts need none

            store = self._session.store
            fd = open_state(store, state) if state != SCRATCH else -1
            if fd < 0:  # it has no files: an empty folder stands for it
                fd = store.open_empty()
            self._stack.callback(os.close, fd)
            tree = self._stack.enter_context(Tree(fd, secret=store.secret, spare_fd=store.fd))
            self._trees[state] = tree
            self._stack.callback(self._count, tree)
        return tree

    def _count(self, tree: Tree) -> None:
        hashed = tree.stats().bytes_hashed
        self._session.store.meter.count(read=hashed, hashed=hashed)

    def copy(self, origin: Origin, source: str, dest_fd: int) -> None:
        """Bring what a bind shows of a folder on this machine into a directory, seen through its ignore rules."""
        from builder.core.files import Copier, CopyOptions
        from builder.execute.sources import find_source

        folder = self._session.contexts.of(origin)
        with folder.lock:
            found = find_source(folder.tree, source, place="the context")
            normal = self._session.normal
            options = CopyOptions(uid=0, gid=0, time=normal.time, symbolic_mode=normal.chmod)
            with Copier(dest_fd, options) as copier:
                path = os.fsencode("/" + found.path)
                if folder.tree.entry(found.node).kind == "d":
                    copier.add_folder(folder.tree, found.node, path)
                copier.add(folder.tree, found.node, path)

    # --- what they are, for later explanations ---

    def save_listings(self, folder: str, *, by_files: bool) -> tuple[str, ...]:
        """Write what the mounts show into files of a folder, where they are not there yet; the names of those files."""
        names = []
        for mount, part in zip(self._mounts, self.parts(LOCAL, by_files=by_files), strict=True):
            if not mount.brings_files or not (by_files or self._is_folder(_origin(mount))):
                continue
            name = listing_name(part, self._session.store.secret)
            if os.path.exists(os.path.join(folder, name)) or self._save_listing(
                mount, os.path.join(folder, name)
            ):
                names.append(name)
        return tuple(names)

    def _save_listing(self, mount: MountSpec, file: str) -> bool:
        from builder.store.listings import writing

        try:
            found = self._find(mount)
        except StoreError:  # only a remote cache has them
            return False
        with found.lock:
            if mount not in self._read and found.tree.measure(found.node)[1] > _READ_AGAIN:
                return False
            with writing(file):
                found.tree.save_listing([found.node], file, without_owner=not found.state)
        return True

    def save_shared_listing(self, portables: Portables, file: str) -> bool:
        """Write what the mounts show of one context into a file, as every machine has it; False if they show none."""
        mounts = [one for one in self._mounts if one.brings_files and self._is_folder(_origin(one))]
        found = [self._find(mount) for mount in mounts if _origin(mount) == _origin(mounts[0])]
        if not found:
            return False
        tree = found[0].tree
        with found[0].lock:
            nodes = {tree.entry(one.node).path: one.node for one in found}
            inside = [
                path
                for path in nodes
                if any(path.startswith(_folder(other)) for other in nodes if other != path)
            ]
            for path in inside:  # another mount shows it too
                del nodes[path]
            portables.save_listing(tree, list(nodes.values()), file, exclude=None, without_owner=True)
        return True

    def shown(self) -> Mapping[str, Shown]:
        """What the mounts show, by the labels of their parts."""
        secret = self._session.store.secret
        told: dict[str, Shown] = {}
        for mount, part in zip(self._mounts, self.parts(LOCAL, by_files=True), strict=True):
            if mount.brings_files:
                try:
                    found = self._find(mount)
                    with found.lock:
                        path = found.tree.entry(found.node).path.decode("utf-8", "surrogateescape")
                except StoreError:
                    path = mount.source.strip("/")
                origin = _origin(mount)
                state = "" if self._is_folder(origin) else self.state_of(origin).hex()
                told[part.label] = Shown(state, path, listing_name(part, secret))
        return told


def _origin(mount: MountSpec) -> Origin:
    return mount.origin or FromContext()


def _folder(path: bytes) -> bytes:
    """What the paths below a folder of a tree begin with."""
    return path + b"/" if path else b""


def listing_name(part: Part, secret: bytes) -> str:
    """What the listing of a mount is called: by what it shows, so that runs which are shown the same share it."""
    return hash_bytes(b"mount " + part.value.encode("utf-8", "surrogateescape"), secret).hex()
