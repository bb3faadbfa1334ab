"""Random trees, and random things that people and tools do to them."""

from __future__ import annotations

import os
import random
import shutil
import stat
import struct
from collections.abc import Callable
from pathlib import Path

# Names that somebody has: odd ones among them, as file systems allow all bytes but two.
NAMES = (
    "a",
    "b",
    "c d",
    "é",
    "deep",
    ".dot",
    "x.py",
    "-n",
    "back\\slash",
    "new\nline",
    "\udcff\udcfe",
    "*",
    "l" * 120,
)
MODES = (0o600, 0o644, 0o664, 0o755, 0o4755, 0o400)
FOLDER_MODES = (0o700, 0o755, 0o775, 0o1777, 0o2755)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if stat.S_ISFIFO(os.lstat(os.path.join(folder, name)).st_mode)]


class Tree:
    """A folder that changes at random; `links` says whether hard links are made, too, `owners` whether files are given away."""

    def __init__(
        self,
        root: Path,
        dice: random.Random,
        *,
        links: bool = True,
        xattrs: bool = True,
        owners: bool = False,
    ) -> None:
        self.root, self.dice = root, dice
        self._edits: list[tuple[int, Callable[[], None]]] = [
            (4, self.rewrite), (4, self.same_size), (3, self.new_file), (2, self.remove), (2, self.chmod),
            (1, self.chmod_folder), (2, self.rename), (2, self.swap), (2, self.new_folder), (1, self.empty_folder),
            (2, self.symlink), (1, self.retarget), (2, self.become_another), (1, self.deepen), (1, self.touch),
            (1, self.copy_folder), (1, self.move_folder),
        ]  # fmt: skip
        if links:
            self._edits += [(2, self.hard_link), (2, self.cut_link)]
        if xattrs:
            self._edits += [(1, self.set_xattr), (1, self.remove_xattr)]
        if owners and os.geteuid() == 0:
            self._edits += [(1, self.chown), (1, self.set_capability)]

    def edit(self) -> str:
        """Do one thing; what it was."""
        weights = [weight for weight, _ in self._edits]
        (chosen,) = self.dice.choices([call for _, call in self._edits], weights)
        chosen()
        return chosen.__name__

    def entries(self) -> list[Path]:
        return sorted(self.root.rglob("*"))

    def files(self) -> list[Path]:
        return [path for path in self.entries() if _is_file(path)]

    def folders(self) -> list[Path]:
        return [self.root, *(path for path in self.entries() if _is_folder(path))]

    def some(self, paths: list[Path]) -> Path | None:
        return self.dice.choice(paths) if paths else None

    def place(self) -> Path:
        """A path in some folder, which may be taken."""
        return self.dice.choice(self.folders()) / self.dice.choice(NAMES)

    def free(self) -> Path | None:
        path = self.place()
        return None if os.path.lexists(path) else path

    def data(self) -> bytes:
        return bytes(self.dice.choices(b"ab", k=self.dice.choice([0, 1, 5, 5, 5, 300])))

    # --- contents ---

    def rewrite(self) -> None:
        """As editors do (a new file in its place), and as programs do (the same file written again)."""
        if path := self.some(self.files()):
            if self.dice.randrange(2):
                path.unlink()
            self._write(path, self.data())

    def same_size(self) -> None:
        """Another content of the same size, with the times of the earlier one."""
        if path := self.some(self.files()):
            seen = path.stat()
            self._write(path, bytes(self.dice.choices(b"abc", k=seen.st_size)))
            if self.dice.randrange(2):
                os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    def new_file(self) -> None:
        if path := self.free():
            self._write(path, str(self.dice.random()).encode())

    def touch(self) -> None:
        if path := self.some(self.files()):
            os.utime(path, (self.dice.randrange(10**9), self.dice.randrange(10**9)))

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        if path.exists():
            path.chmod(mode | 0o200)
        path.write_bytes(data)
        path.chmod(mode)

    # --- what is where ---

    def remove(self) -> None:
        if path := self.some(self.entries()):
            _remove(path)

    def rename(self) -> None:
        path, place = self.some(self.files()), self.place()
        if path and not _is_folder(place):
            path.rename(place)

    def swap(self) -> None:
        """Two files change places: all that is seen of them is their names."""
        files = self.files()
        if len(files) > 1:
            one, other = self.dice.sample(files, 2)
            spare = self.root / "spare"
            one.rename(spare)
            other.rename(one)
            spare.rename(other)

    def new_folder(self) -> None:
        if path := self.free():
            path.mkdir()
            (path / "inside").write_text("x")
            (path / "sub").mkdir()

    def empty_folder(self) -> None:
        if path := self.free():
            path.mkdir()

    def deepen(self) -> None:
        path = self.root
        for _ in range(self.dice.randrange(6, 12)):
            path /= self.dice.choice(NAMES)
            if os.path.lexists(path) and not _is_folder(path):
                path.unlink()
            path.mkdir(exist_ok=True)
        (path / "down").write_text("here")

    def copy_folder(self) -> None:
        path, place = self.some(self.folders()[1:]), self.free()
        if path and place and path not in place.parents and len(self.entries()) < 60:
            shutil.copytree(path, place, symlinks=True, ignore=_pipes)

    def move_folder(self) -> None:
        path, place = self.some(self.folders()[1:]), self.free()
        if path and place and path not in place.parents:
            path.rename(place)

    def become_another(self) -> None:
        """A file where a folder was, a link where a file was, and so on."""
        path = self.some(self.entries())
        if path is None:
            return
        _remove(path)
        kind = self.dice.randrange(4)
        if kind == 0:
            path.write_bytes(self.data())
        elif kind == 1:
            path.mkdir()
            (path / "new").write_text("n")
        elif kind == 2:
            path.symlink_to(self.dice.choice(["a", "../x", "."]))
        else:
            os.mkfifo(path)

    # --- links ---

    def symlink(self) -> None:
        if path := self.free():
            path.symlink_to(self.dice.choice(["a", "../x", "/etc", "deep", ".", "x" * 200]))

    def retarget(self) -> None:
        if path := self.some([path for path in self.entries() if path.is_symlink()]):
            target = os.readlink(path)
            path.unlink()
            path.symlink_to(target.swapcase() if self.dice.randrange(2) else "b")

    def hard_link(self) -> None:
        path, place = self.some(self.files()), self.free()
        if path and place:
            os.link(path, place)

    def cut_link(self) -> None:
        """A name of a file becomes a file of its own, equal to it in all else."""
        if path := self.some([path for path in self.files() if path.stat().st_nlink > 1]):
            spare = self.root / "spare"
            shutil.copy2(path, spare)
            spare.rename(path)

    # --- attributes ---

    def chmod(self) -> None:
        if path := self.some(self.files()):
            path.chmod(self.dice.choice(MODES))

    def chmod_folder(self) -> None:
        if path := self.some(self.folders()[1:]):
            path.chmod(self.dice.choice(FOLDER_MODES))

    def set_xattr(self) -> None:
        if path := self.some(self.files() + self.folders()[1:]):
            os.setxattr(path, f"user.{self.dice.choice('ab')}", self.dice.randbytes(2))

    def set_capability(self) -> None:
        """One of two sets of rights (VFS_CAP_REVISION_2 of linux/capability.h), which goes with the file into the image."""
        if path := self.some(self.files()):
            os.setxattr(
                path,
                "security.capability",
                struct.pack("<5I", 0x02000001, self.dice.choice([1 << 10, 1 << 13]), 0, 0, 0),
            )

    def chown(self) -> None:
        if path := self.some(self.entries()):
            os.chown(path, self.dice.choice([0, 7]), self.dice.choice([0, 8]), follow_symlinks=False)

    def remove_xattr(self) -> None:
        marked = [path for path in self.files() if os.listxattr(path)]
        if path := self.some(marked):
            os.removexattr(path, os.listxattr(path)[0])
