"""A place where an ordinary user can run the command: a folder of the user's own with a copy of the program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import ROOT


@contextmanager
def user_place(user: str, bases: Path) -> Iterator[Path]:
    """The folder, with the base image; `pybuild` in it starts the program. It is removed at the end."""
    folder = Path("/tmp") / f"pybuild-rootless-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        shutil.copytree(bases / "base", folder / "base")
        shutil.copytree(ROOT / "builder", folder / "lib" / "builder", symlinks=False)
        packages = Path(next(path for path in sys.path if path.endswith("site-packages")))
        for name in ("_cffi_backend*", "cffi", "isal", "lark", "platformdirs", "urllib3", "zstandard"):
            for found in packages.glob(name):  # the checkout may be where the user cannot read
                copy = shutil.copytree if found.is_dir() else shutil.copy
                copy(found, folder / "lib" / found.name)
        (folder / "pybuild").write_text(
            f'#!/bin/sh\nPYTHONPATH={folder}/lib exec {_python_for(user, folder)} -m builder "$@"\n'
        )
        (folder / "pybuild").chmod(0o755)
        subprocess.run(["chown", "-R", user, str(folder)], check=True)
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
