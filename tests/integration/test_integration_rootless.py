"""Builds and containers of an ordinary user with subordinate ids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture
def home(unprivileged: str, bases: Path) -> Iterator[Path]:
    """A folder that belongs to the user, with the base image and a copy of the program that the user can read."""
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
            f'#!/bin/sh\nPYTHONPATH={folder}/lib exec {python_for(unprivileged, folder)} -m builder "$@"\n'
        )
        (folder / "pybuild").chmod(0o755)
        subprocess.run(["chown", "-R", unprivileged, str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def python_for(user: str, folder: Path) -> str:
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


def test_an_ordinary_user_builds_and_runs(home: Path, unprivileged: str) -> None:
    context = home / "context"
    context.mkdir()
    (context / "f").write_text("mine\n")
    (context / "Buildfile").write_text(
        "FROM base\nCOPY --chown=app:staff f /f\nRUN id -u > /id && rm /etc/group && mkdir /d && chown 1001:50 /d\n"
        'USER app\nRUN id -un > /home/app/who\nCMD ["sh", "-c", "cat /id /home/app/who; ls -ln /f"]\n'
    )
    subprocess.run(["chown", "-R", unprivileged, str(context)], check=True)

    def run(*words: str) -> str:
        line = [
            "runuser",
            "-u",
            unprivileged,
            "--",
            str(home / "pybuild"),
            *words,
            "--store",
            str(home / "store"),
        ]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, cwd=home)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    flags = ["--build-context", f"base=oci-layout://{home / 'base'}", "-t", "app", "-o", "type=image"]
    flags += ["-o", f"type=oci,dest={home / 'out.tar'}"]
    assert run("build", *flags, str(context)).count("CACHED") <= 1
    assert run("build", *flags, str(context)).count("CACHED") == 4
    shown = subprocess.run(
        ["runuser", "-u", unprivileged, "--", str(home / "pybuild"), "run", "--store", str(home / "store"), "app"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert shown.stdout.splitlines()[:2] == ["0", "app"], shown.stderr
    assert shown.stdout.splitlines()[2].split()[2:4] == ["1000", "50"]
    # The image says the ids that it has inside, not those of the user's range.
    subprocess.run(["umoci", "--version"], check=True, capture_output=True)
    listed = subprocess.run(
        ["sh", "-c", f"skopeo copy -q oci-archive:{home}/out.tar dir:{home}/dir && "
         f"for f in {home}/dir/*; do tar -tvzf $f 2>/dev/null; done"], capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert any(line.split()[1] == "1000/50" and line.endswith(" f") for line in listed.splitlines()), listed
    assert any(line.split()[1] == "1001/50" and line.endswith(" d/") for line in listed.splitlines())
    assert any("etc/.wh.group" in line for line in listed.splitlines())
