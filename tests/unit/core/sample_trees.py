"""Trees to test with."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

from builder.core.tree import Tree

SECRET = random.Random(2).randbytes(192)


class Opened:
    """A tree with its descriptor."""

    def __init__(self, root: Path, **options: object) -> None:
        self.fd = os.open(root, os.O_RDONLY)
        self.tree = Tree(self.fd, **options)  # type: ignore[arg-type]

    def __enter__(self) -> Tree:
        return self.tree

    def __exit__(self, *_: object) -> None:
        self.tree.close()
        os.close(self.fd)


def fingerprint(root: Path, path: bytes = b"", **options: object) -> bytes:
    with Opened(root, secret=SECRET) as tree:
        return tree.fingerprint(tree.find(path, follow=False), **options)  # type: ignore[arg-type]


def fill(root: Path) -> None:
    """One of everything."""
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "dir" / "file").write_text("hello")
    (root / "dir" / "sub" / "deep.txt").write_text("deep")
    (root / "empty").mkdir()
    (root / "a b\nc").write_text("odd")
    os.mkdir(os.fsencode(root) + b"/\xff\xfe")
    (root / "link").symlink_to("dir/file")
    (root / "dangling").symlink_to("/no/such")
    os.link(root / "dir" / "file", root / "hard")
    os.mkfifo(root / "pipe", 0o640)
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(root)
        listener.bind("socket")
        os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(root / "null", 0o020666, os.makedev(1, 3))
        os.mknod(root / "disk", 0o060660, os.makedev(7, 300))
    (root / "dir" / "suid").write_text("x")
    (root / "dir" / "suid").chmod(0o4755)
