"""What a step's process sees beside its root file system: `RUN --mount`, and scripts of here-documents.

All of it is gone after the step, but for what is in caches.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from builder.core.files import Copier, CopyOptions, open_in_root
from builder.core.process import overlay_mount
from builder.digest import digest_of
from builder.errors import CoreError, StepError
from builder.execute.rootfs import open_state
from builder.execute.sources import clamp
from builder.graph.steps import FromContext, FromScratch, InlineFile, MountSpec, Origin
from builder.sandbox.process import Mount
from builder.store.locks import alone
from builder.store.locks import lock as flock
from builder.store.runs import Run
from builder.store.store import Store

# Copies what a source of a folder on this machine holds into an empty directory, as its ignore rules let it be seen.
CopyFolder = Callable[[Origin, str, int], None]
StateOf = Callable[[object], bytes]
# What the files are called that a cache mount begins with: equal names are equal files.
BeginOf = Callable[[MountSpec], str]
# Fills the empty folder of a cache mount, by its name, from elsewhere; whether that was done whole.
Restore = Callable[[str, int], bool]


def shown_id(spec: MountSpec) -> str:
    """The id of a cache mount as the build file has it, behind its namespace if there is one."""
    return spec.id.removeprefix("/")


def _spellings(spec: MountSpec) -> tuple[str, ...]:
    """How the source of a mount may be written."""
    return tuple(f"{key}={path}" for path in (spec.source, clamp(spec.source)) for key in ("source", "src"))


def cache_name(spec: MountSpec, begin: str = "") -> str:
    """The name of a cache mount's folder, the same in every store unless the mount begins with files of a stage, an image or a
    context, which are called `begin`.
    """
    begin = begin or str(spec.origin)
    # Of one that begins empty the source is a folder inside.
    source = "/" if isinstance(spec.origin, FromScratch) else spec.source
    identity = f"{spec.id}\0{spec.mode}\0{spec.uid}:{spec.gid}\0{begin}\0{source}"
    return digest_of(identity.encode()).hex[:32]


class Mounts:
    """The mounts of one step. Use it as a context manager around the process's life."""

    def __init__(
        self,
        store: Store,
        run: Run,
        *,
        is_folder: Callable[[Origin], bool],
        copy_folder: CopyFolder,
        state_of: StateOf,
        begin_of: BeginOf,
        secrets: Mapping[str, bytes],
        restore: Restore | None = None,
    ) -> None:
        self._store, self._run = store, run
        self._is_folder, self._copy_folder = is_folder, copy_folder
        self._state_of, self._begin_of, self._secrets, self._restore = state_of, begin_of, secrets, restore
        self._stack = ExitStack()
        self._count = 0
        self._caches: dict[str, str] = {}
        self.env: dict[str, str] = {}

    def __enter__(self) -> Mounts:
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def prepare(self, mounts: Sequence[MountSpec], scripts: Sequence[InlineFile]) -> tuple[Mount, ...]:
        """What to mount, in order; `env` gets the variables that secrets become."""
        # Locks are taken in one order, whatever that of the line: no two steps may wait for each other.
        only = (spec for spec in mounts if spec.kind == "cache" and spec.sharing == "locked")
        for spec in sorted(only, key=self._name):
            self._cache(spec)
        found = [mount for spec in mounts for mount in self._prepare(spec)]
        # What lies deeper comes later, however it is written.
        found.sort(key=lambda mount: mount.target.rstrip("/").count("/"))
        for script in scripts:
            path = self._file(script.content, script.mode)
            found.append(Mount(f"/dev/pipes/{script.name}", source=path, read_only=True))
        return tuple(found)

    def _prepare(self, spec: MountSpec) -> list[Mount]:
        if spec.kind == "tmpfs":
            return [Mount(spec.target, kind="tmpfs", size=spec.size or None)]
        if spec.kind == "secret":
            return self._secret(spec)
        if spec.kind == "cache":
            return [self._cache_mount(spec)]
        if spec.kind == "bind":
            return [Mount(spec.target, source_fd=self._bind(spec), read_only=spec.read_only)]
        raise StepError(f"RUN --mount=type={spec.kind} is not supported yet")

    def _folder(self) -> str:
        """A new folder in the run's scratch space; its path on the host."""
        self._count += 1
        path = os.path.join(self._run.scratch, f"mount-{self._count}")
        os.mkdir(path, 0o755)
        os.chmod(path, 0o755)
        return path

    def _file(self, content: bytes, mode: int, uid: int = 0, gid: int = 0) -> str:
        path = os.path.join(self._folder(), "file")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.write(content)
            os.fchown(stream.fileno(), uid, gid)
            os.fchmod(stream.fileno(), mode)
        return path

    def _secret(self, spec: MountSpec) -> list[Mount]:
        content = self._secrets.get(spec.id)
        if content is None:
            if spec.required:
                raise StepError(
                    f"the secret {spec.id!r} was not given",
                    hint=f"give it with --secret id={spec.id},src=FILE",
                    about=(f"id={spec.id}", f"target={spec.target}"),
                )
            if spec.env:
                self.env[spec.env] = ""
            return []
        if spec.env:
            self.env[spec.env] = content.decode("utf-8", "surrogateescape")
        if not spec.target:
            return []
        mode = 0o400 if spec.mode is None else spec.mode
        return [Mount(spec.target, source=self._file(content, mode, spec.uid, spec.gid), read_only=True)]

    def _bind(self, spec: MountSpec) -> int:
        """A descriptor of what a bind shows; what is written to it is forgotten."""
        origin = spec.origin or FromContext()
        if self._is_folder(origin):
            folder = self._folder()
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._stack.callback(os.close, fd)
            self._copy_folder(origin, spec.source, fd)
            if not os.listdir(folder):
                return fd
            path = clamp(spec.source)
            return self._inside(fd, path, spec)
        state = b"" if isinstance(origin, FromScratch) else self._state_of(origin)
        if spec.read_only or not state:
            fd = open_state(self._store, state) if state else -1
            if fd < 0:
                fd = os.open(self._folder(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        else:
            upper, work = self._folder(), self._folder()
            prefix = os.path.join(self._store.path, "")
            fd = overlay_mount(
                self._store.fd,
                self._store.lowers(state),
                upper.removeprefix(prefix),
                work.removeprefix(prefix),
                userxattr=self._store.userxattr,
            )
        self._stack.callback(os.close, fd)
        return self._inside(fd, clamp(spec.source), spec)

    def _inside(self, fd: int, path: str, spec: MountSpec) -> int:
        try:
            inside = open_in_root(fd, os.fsencode(path), os.O_PATH)
        except CoreError as error:
            raise StepError(
                f'the source "{spec.source}" of a mount is not there: {error.message}',
                about=_spellings(spec),
            ) from error
        self._stack.callback(os.close, inside)
        return inside

    def _cache_mount(self, spec: MountSpec) -> Mount:
        path = self._cache(spec)
        if spec.source == "/" or not isinstance(spec.origin, FromScratch):
            return Mount(spec.target, source=path, read_only=spec.read_only)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.callback(os.close, fd)
        inside = self._inside(fd, clamp(spec.source), spec)
        return Mount(spec.target, source_fd=inside, read_only=spec.read_only)

    def _cache(self, spec: MountSpec) -> str:
        """The folder of a cache, new ones made as asked; `locked` waits for others, `private` gets one nobody else uses.

        In one step a cache is one folder, however often it is mounted.
        """
        name = self._name(spec)
        if name not in self._caches:
            self._caches[name] = self._open_cache(name, spec)
        return self._caches[name]

    def _name(self, spec: MountSpec) -> str:
        """The name of a cache: what it begins with is a part of it, so that another beginning is another cache."""
        return cache_name(spec, self._begin_of(spec) if spec.brings_files else "")

    def _open_cache(self, name: str, spec: MountSpec) -> str:
        caches = os.path.join(self._store.path, "caches")
        os.makedirs(caches, mode=0o711, exist_ok=True)
        for number in range(1000):
            path = os.path.join(caches, name if not number else f"{name}-{number}")
            lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._stack.callback(os.close, lock)
            if spec.sharing == "locked":
                flock(lock, fcntl.LOCK_EX, self._store.check)
            elif spec.sharing == "private" and not alone(lock):
                continue
            break
        os.utime(lock)  # when it was last used
        while True:
            if not os.path.isdir(path):
                self._store.name_cache(name, shown_id(spec))
                self._fill(path, spec)
            elif self._restore is not None:
                self._refill(path, spec)
            if self._use(path):
                return path

    def _use(self, path: str) -> bool:
        """Keep others from removing a cache while it is used; False if somebody just did."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._stack.callback(os.close, fd)
        flock(fd, fcntl.LOCK_SH)
        try:
            return os.path.samestat(os.fstat(fd), os.stat(path))
        except FileNotFoundError:
            return False

    def _refill(self, path: str, spec: MountSpec) -> None:
        """Fill a cache that is there, but empty, unless somebody uses it."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if not os.listdir(fd) and alone(fd):
                self._fill(path, spec)
        finally:
            os.close(fd)

    def _fill(self, path: str, spec: MountSpec) -> None:
        """Make a cache's folder: from a remote cache that has it, or from what `from=` names if it does."""
        fresh = self._fresh(spec)
        if self._restore is not None:
            fd = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                restored = self._restore(self._name(spec), fd)
            finally:
                os.close(fd)
            if restored:
                self._place(fresh, path)
                return
            fresh = self._fresh(spec)  # without what came before it failed
        if spec.brings_files:
            from builder.core.tree import Tree

            source = self._bind(spec)
            if not stat.S_ISDIR(os.fstat(source).st_mode):
                raise StepError(
                    f'the source "{spec.source}" of a cache mount is no folder',
                    hint="a cache begins with a folder: name the one that the file is in",
                    about=_spellings(spec),
                )
            readable = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            dest = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with Tree(readable) as tree, Copier(dest, CopyOptions()) as copier:
                    copier.add(tree, tree.find(b""), b"/")
                shown = os.fstat(readable)
                os.fchown(dest, shown.st_uid, shown.st_gid)
                os.fchmod(dest, shown.st_mode & 0o7777)
            finally:
                os.close(readable)
                os.close(dest)
        self._place(fresh, path)

    def _fresh(self, spec: MountSpec) -> str:
        fresh = self._folder()
        os.chown(fresh, spec.uid, spec.gid)
        os.chmod(fresh, 0o755 if spec.mode is None else spec.mode)
        return fresh

    @staticmethod
    def _place(fresh: str, path: str) -> None:
        try:
            os.rename(fresh, path)
        except OSError:
            if not os.path.isdir(path):
                raise
