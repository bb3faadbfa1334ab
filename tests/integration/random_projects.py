"""Random projects, build files with contexts, arguments and surroundings, and random changes of them."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from random_lines import ARGS, BEGINNING, VALUES, Lines
from tree_edits import Tree
from web_server import Web, bytes_of

RULES = ("**/b", "src/deep/*", "!src/deep/x", "**/.dot", "src/c*", "Buildfile", "**/x.*", "!**/b")


@dataclass
class Stage:
    base: str
    lines: list[str] = field(default_factory=list)


class Project:
    """A project in a folder, which changes at random; its build file is written when it is asked for.

    `root` becomes the context; a named context `lib` is beside it, `other` is one of the images in `bases`. `web` has the rest.
    """

    def __init__(self, folder: Path, dice: random.Random, bases: Path, web: Web) -> None:
        self.root, self.lib, self._repository = folder / "context", folder / "lib", folder / "git/it.git"
        self.dice, self._bases, self._web = dice, bases, web
        self._web.repositories = self._repository.parent
        self._lines = Lines(dice, web.url)
        self.tree = Tree(self.root / "src", dice, owners=True)
        self._lib_tree = Tree(self.lib, dice, owners=True)
        self.stages: list[Stage] = []
        self.args: dict[str, str] = {}
        self.target: str | None = None
        self.options: dict[str, Any] = {}
        self.attributes: dict[str, str] = {}
        self._top: list[str] = []
        self._other = "base"
        self.begin()

    def begin(self) -> None:
        """A new project."""
        dice = self.dice
        for folder in (self.root, self.lib, self._repository.parent):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.root / "src", self.lib):
            (folder / "deep").mkdir(parents=True)
            for name in ("a", "b", "x.py", "deep/b", "deep/x"):
                (folder / name).write_text(name)
        self._pack()
        self._begin_elsewhere()
        self.stages = [Stage(dice.choice(["base", "base", "$BASE"]))]
        for _ in range(dice.randrange(3)):
            self.stages.append(Stage(dice.choice(["base", f"s{dice.randrange(len(self.stages))}"])))
        for number, stage in enumerate(self.stages):
            stage.lines = [self._lines.line(number) for _ in range(dice.randrange(2, 6))]
            if number == 0 or dice.randrange(2):
                stage.lines.insert(0, BEGINNING)
        if dice.randrange(2):  # looks at stages, and stands on none of their changes
            lines = [self._lines.shown(len(self.stages)) for _ in range(3)]
            self.stages.append(Stage("base", lines))
        self.args, self.target, self.options, self.attributes, self._top = {}, None, {}, {}, []

    def write(self) -> str:
        """Write the build file; its text."""
        text = "".join(f"{line}\n" for line in self._top) + "ARG GLOBAL=g\nARG BASE=base\n"
        for number, stage in enumerate(self.stages):
            text += f"FROM {stage.base} AS s{number}\n" + "".join(f"{line}\n" for line in stage.lines)
        (self.root / "Buildfile").write_text(text)
        return text

    def contexts(self) -> dict[str, str]:
        """The named contexts of a build."""
        images = {"base": "base", "base2": "base2", "other": self._other}
        return {
            "lib": str(self.lib),
            **{name: f"oci-layout://{self._bases / image}" for name, image in images.items()},
        }

    # --- changes ---

    def change(self) -> str:
        """One change; what it was."""
        changes: list[tuple[int, Callable[[], str]]] = [
            (16, self._edit_tree), (3, self._edit_lib), (3, self._ignore), (6, self._change_args), (6, self._change_line),
            (4, self._add_line), (2, self._remove_line), (2, self._swap_lines), (2, self._retarget), (1, self._label),
            (2, self._rebase), (1, self._move_other), (3, self._surround), (1, self._describe), (1, self._pack),
            (2, self._change_elsewhere), (1, self._compress),
        ]  # fmt: skip
        (chosen,) = self.dice.choices([call for _, call in changes], [weight for weight, _ in changes])
        told = chosen()
        for folder in (self.root / "src", self.lib):
            for name in ("a", "b", "x.py", "deep/x"):  # most lines want them
                path = folder / name
                if not os.path.lexists(path) and self.dice.randrange(4):
                    try:
                        path.parent.mkdir(exist_ok=True)
                        path.write_text("again")
                    except OSError:  # there is something else above it
                        pass
        return told

    def _edit_tree(self) -> str:
        return self.tree.edit()

    def _edit_lib(self) -> str:
        return f"lib: {self._lib_tree.edit()}"

    def _ignore(self) -> str:
        rules = self.dice.sample(RULES, 2)
        rules += ["*", "!src", "!packed.tar"] if self.dice.randrange(8) == 0 else []
        name = self.dice.choice([".dockerignore", ".dockerignore", "Buildfile.dockerignore"])
        path = self.root / name
        if path.exists() and self.dice.randrange(3) == 0:
            path.unlink()
            return f"no {name}"
        path.write_text("\n".join(rules))
        return f"{name} {rules}"

    def _change_args(self) -> str:
        name = self.dice.choice((*ARGS, "GLOBAL", "BASE"))
        if name in self.args and self.dice.randrange(3) == 0:
            del self.args[name]
        else:
            self.args[name] = self.dice.choice(("base", "base2", "other") if name == "BASE" else VALUES)
        return f"args {self.args}"

    def _some_stage(self) -> int:
        return self.dice.randrange(len(self.stages))

    def _change_line(self) -> str:
        number = self._some_stage()
        lines = self.stages[number].lines
        if lines:
            lines[self.dice.randrange(len(lines))] = self._lines.line(number)
        return f"other line in s{number}"

    def _add_line(self) -> str:
        number = self._some_stage()
        lines = self.stages[number].lines
        if len(lines) < 9:
            lines.insert(self.dice.randrange(len(lines) + 1), self._lines.line(number))
        return f"new line in s{number}"

    def _remove_line(self) -> str:
        number = self._some_stage()
        lines = self.stages[number].lines
        if lines:
            lines.pop(self.dice.randrange(len(lines)))
        return f"line gone from s{number}"

    def _swap_lines(self) -> str:
        number = self._some_stage()
        lines = self.stages[number].lines
        if len(lines) > 1:
            one, other = self.dice.sample(range(len(lines)), 2)
            lines[one], lines[other] = lines[other], lines[one]
        return f"lines swapped in s{number}"

    def _retarget(self) -> str:
        self.target = self.dice.choice([None, *(f"s{number}" for number in range(len(self.stages)))])
        return f"target {self.target}"

    def _label(self) -> str:
        self.options["labels"] = {"by": self.dice.choice(VALUES)}
        return f"labels {self.options['labels']}"

    def _rebase(self) -> str:
        number = self._some_stage()
        below = [f"s{other}" for other in range(number)]
        self.stages[number].base = self.dice.choice(["base", "base2", "$BASE", "other", *below])
        return f"base of s{number}: {self.stages[number].base}"

    def _move_other(self) -> str:
        """Another image by the same name, in lines that stay."""
        self._other = "base2" if self._other == "base" else "base"
        return f"other is {self._other}"

    def _surround(self) -> str:
        """What is around a RUN, and in no line."""
        dice = self.dice
        name, values = dice.choice(
            [
                (
                    "add_hosts",
                    [(("h", "10.0.0.1"),), (("i", "10.0.0.1"),), ()],
                ),  # an address is in no key, as with BuildKit
                ("shm_size", [None, 1 << 20, 2 << 20]),
                ("ulimits", [(), (("nofile", 512, 512),), (("nofile", 256, 512),)]),
                ("network", ["default", "none"]),
                ("platform", [None, "linux/amd64"]),
                ("reproducible", [False, True]),
                ("secrets", [{}, {"word": b"one"}, {"word": b"two"}]),
                ("jobs", [1, 2, 4]),
            ]
        )
        self.options[name] = dice.choice(values)
        return f"{name} {self.options[name]}"

    def _describe(self) -> str:
        """What stands above all lines, and is in none."""
        self._top = self.dice.choice([[], ["# syntax=docker/dockerfile:1"], ["# escape=`"], ["# a comment"]])
        return f"top {self._top}"

    def _compress(self) -> str:
        chosen = self.dice.choice(["", "gzip", "zstd", "uncompressed"])
        self.attributes = {"compression": chosen} if chosen else {}
        return f"compression {chosen}"

    def _pack(self) -> str:
        """An archive in the context, and one on the web."""
        (self.root / "packed.tar").write_bytes(self._archive())
        return "archive"

    def _archive(self) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode=self.dice.choice(["w", "w:gz"])) as tar:
            for name in self.dice.sample(["a", "deep/b", "in", "x"], 2):
                entry = tarfile.TarInfo(name)
                data = self.dice.choice(VALUES).encode()
                entry.size, entry.mode, entry.uid = (
                    len(data),
                    self.dice.choice([0o600, 0o755]),
                    self.dice.choice([0, 5]),
                )
                tar.addfile(entry, io.BytesIO(data))
        return stream.getvalue()

    # --- elsewhere ---

    def _begin_elsewhere(self) -> None:
        self._web.answers.clear()
        self._serve("/f", b"one")
        self._serve("/t.tar", self._archive())
        (self._repository / "sub").mkdir(parents=True)
        self._git("init", "-q", "-b", "main")
        (self._repository / "sub/file").write_text("one\n")
        self._commit()

    def _change_elsewhere(self) -> str:
        what = self.dice.randrange(3)
        if what == 0:
            self._serve("/f", self.dice.choice([b"one", b"two", b"thr"]))
        elif what == 1:
            self._serve("/t.tar", self._archive())
        else:
            (self._repository / "sub/file").write_text(self.dice.choice(VALUES))
            self._commit()
        return ("file", "archive", "repository")[what] + " elsewhere"

    def _serve(self, path: str, data: bytes) -> None:
        """Some servers have an ETag; what has another content has another one."""
        headers = {"ETag": f'"{zlib.crc32(data):x}"'} if self.dice.randrange(2) else {}
        self._web.answers[path] = bytes_of(data, **headers)

    def _commit(self) -> None:
        self._git("add", ".")
        self._git("commit", "-q", "--allow-empty", "-m", "it")

    def _git(self, *words: str) -> None:
        identity = {
            f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        env = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null"}
        subprocess.run(["git", "-C", str(self._repository), *words], env=env, check=True, capture_output=True)
