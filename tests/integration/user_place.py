"""An ordinary user at work: with a copy of the program that the user can read, and a folder of the user's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import DEADLINE, ROOT


class User:
    """Who works in `folder`, with the store `folder/store`; `base` is the layout of the base image."""

    def __init__(self, name: str, place: Path, folder: Path) -> None:
        self.name, self.folder, self.store, self.base = name, folder, folder / "store", place / "base"
        self._program = place / "pybuild"
        self.own(folder)

    def own(self, path: Path) -> Path:
        """Give a file or a tree to the user."""
        subprocess.run(["chown", "-R", self.name, str(path)], check=True)
        return path

    def context(self, buildfile: str, **files: str) -> Path:
        """The folder `context` with these files, which the user owns."""
        folder = self.folder / "context"
        folder.mkdir()
        for name, text in {"Buildfile": buildfile, **files}.items():
            (folder / name).write_text(text)
        return self.own(folder)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """The command as the user calls it, which must do what it is asked for; `base` is there as a named context."""
        line = ["runuser", "-u", self.name, "--", self._program, words[0], "--store", self.store]
        if words[0] in ("build", "plan"):
            line += ["--build-context", f"base=oci-layout://{self.base}"]
        done = subprocess.run(
            [str(word) for word in (*line, *words[1:])],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stderr
        return done


@contextmanager
def user_place(name: str, bases: Path) -> Iterator[Path]:
    """A folder with `base`, the base image, and `pybuild`, which starts the program; it is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pybuild-rootless-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        shutil.copytree(bases / "base", folder / "base")
        shutil.copytree(ROOT / "builder", folder / "lib" / "builder", symlinks=False)
        packages = Path(next(path for path in sys.path if path.endswith("site-packages")))
        for wanted in ("_cffi_backend*", "cffi", "isal", "lark", "platformdirs", "urllib3", "zstandard"):
            for found in packages.glob(wanted):  # the checkout may be where the user cannot read
                copy = shutil.copytree if found.is_dir() else shutil.copy
                copy(found, folder / "lib" / found.name)
        (folder / "pybuild").write_text(
            f'#!/bin/sh\nPYTHONPATH={folder}/lib exec {_python_for(name, folder)} -m builder "$@"\n'
        )
        (folder / "pybuild").chmod(0o755)
        subprocess.run(["chown", "-R", name, str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def _python_for(user: str, folder: Path) -> str:
    """How `user` starts this Python: as it is, or a copy of it where it lies in somebody's private folder."""
    own = os.path.realpath(sys.executable)
    if subprocess.run(["runuser", "-u", user, "--", own, "-c", ""], capture_output=True).returncode == 0:
        return own
    library = Path(os.path.realpath(os.__file__)).parent
    (folder / "python" / "bin").mkdir(parents=True)
    shutil.copy(own, folder / "python" / "bin" / "python3")
    skipped = shutil.ignore_patterns("site-packages", "test", "__pycache__", "idlelib", "tkinter", "config-*")
    shutil.copytree(library, folder / "python" / "lib" / library.name, ignore=skipped)
    shared = library.parent.glob("libpython*.so*")
    for found in shared:
        shutil.copy(found, folder / "python" / "lib" / found.name)
    return f"env PYTHONHOME={folder}/python LD_LIBRARY_PATH={folder}/python/lib {folder}/python/bin/python3"
