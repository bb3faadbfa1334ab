"""Random projects, a build file with a context and arguments, and random changes of them.

Whatever a RUN here does is decided by what it can see, and it looks at all of that: files, their metadata, its environment.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tree_edits import Tree

ARGS = ("ONE", "TWO", "THREE")
VALUES = ("x", "y", "a b", "", "1", "é")
PLACES = ("/app", "/app/deep", "/opt/d", "/srv", "/app/e", "/new/x")
# All that can be seen of some files but times; a name on each line.
LOOK = "find /app /opt /srv /new /m -xdev 2>/dev/null | sort | while read -r f; do stat -c '%n %a %u %g %F %t %T' \"$f\"; done"
SUMS = "find /app /opt /srv /new /m -xdev -type f 2>/dev/null | sort | tr '\\n' '\\0' | xargs -0 -r md5sum 2>/dev/null"


@dataclass
class Stage:
    base: str
    lines: list[str] = field(default_factory=list)


class Project:
    """A project in a folder, which changes at random; its build file is written when it is asked for."""

    def __init__(self, root: Path, dice: random.Random) -> None:
        self.root, self.dice = root, dice
        self.tree = Tree(root / "src", dice)
        self.stages: list[Stage] = []
        self.args: dict[str, str] = {}
        self.target: str | None = None
        self.network = "default"
        self.labels: dict[str, str] = {}
        self.begin()

    def begin(self) -> None:
        """A new project."""
        dice = self.dice
        for path in self.root.iterdir() if self.root.exists() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.root / "src/deep").mkdir(parents=True)
        for name in ("a", "b", "x.py", "deep/b", "deep/x"):
            (self.root / "src" / name).write_text(name)
        self.stages = [Stage("base")]
        for _ in range(dice.randrange(3)):
            self.stages.append(Stage(dice.choice(["base", f"s{dice.randrange(len(self.stages))}"])))
        for number, stage in enumerate(self.stages):
            stage.lines = [self.line(number) for _ in range(dice.randrange(2, 6))]
            if number == 0 or dice.randrange(2):
                stage.lines.insert(
                    0,
                    "RUN mkdir -p /app/deep /opt/d /srv /new/x && echo a > /app/a && echo b > /opt/d/b || true",
                )
        self.args, self.target, self.labels, self.network = {}, None, {}, "default"

    def write(self) -> str:
        """Write the build file; its text."""
        text = "ARG GLOBAL=g\n"
        for number, stage in enumerate(self.stages):
            text += f"FROM {stage.base} AS s{number}\n" + "".join(f"{line}\n" for line in stage.lines)
        (self.root / "Buildfile").write_text(text)
        return text

    # --- lines ---

    def line(self, number: int) -> str:
        """A line for a stage."""
        dice = self.dice
        kinds: list[tuple[int, Callable[[int], str]]] = [
            (5, self._run), (5, self._copy), (2, self._arg), (1, self._env), (1, self._setting), (1, self._add),
        ]  # fmt: skip
        (make,) = dice.choices([make for _, make in kinds], [weight for weight, _ in kinds])
        return make(number)

    def _arg(self, number: int) -> str:
        del number
        name = self.dice.choice((*ARGS, "GLOBAL"))
        return f"ARG {name}" if self.dice.randrange(2) else f'ARG {name}="{self.dice.choice(VALUES)}"'

    def _env(self, number: int) -> str:
        del number
        return f'ENV {self.dice.choice("EFG")}="{self.dice.choice(VALUES)}${{{self.dice.choice(ARGS)}}}"'

    def _setting(self, number: int) -> str:
        del number
        return self.dice.choice(
            ["USER app", "USER root", "WORKDIR /app", "WORKDIR deep", "WORKDIR /new/$ONE", "LABEL l=$TWO", "CMD true",
             'SHELL ["/bin/sh", "-e", "-c"]', "EXPOSE 80", "VOLUME /vol", "STOPSIGNAL 9"]
        )  # fmt: skip

    def _source(self) -> str:
        return self.dice.choice(
            ["src", "src/a", "src/deep", "src/*", "src/[ab]", ".", "src/deep/", "src/x.py"]
        )

    def _add(self, number: int) -> str:
        del number
        return f"ADD {self._source()} {self.dice.choice(PLACES)}/"

    def _copy(self, number: int) -> str:
        dice = self.dice
        if dice.randrange(5) == 0:
            place, value = dice.choice(PLACES), dice.choice(ARGS)
            return f"COPY <<EOF {place}/inline\nhere is ${value} and {dice.choice(VALUES)}\nEOF"
        flags = ""
        if number and dice.randrange(3) == 0:
            source = dice.choice([*PLACES, "/tmp", "/etc/passwd"])
            flags = f" --from=s{dice.randrange(number)}"
        else:
            source = self._source()
        flags += dice.choice(
            ["", "", "", " --chown=app:staff", " --chown=7", " --chmod=755", " --chmod=g+w,o=", " --link"]
        )
        flags += dice.choice(["", "", "", "", " --exclude=**/b", " --parents"])
        return f"COPY{flags} {source} {dice.choice(PLACES)}/"

    def _run(self, number: int) -> str:
        dice = self.dice
        place, other, name = dice.choice(PLACES), dice.choice(PLACES), dice.choice(ARGS)
        flags = ""
        if dice.randrange(3) == 0:
            flags = dice.choice(
                [f" --mount=type=bind,source={dice.choice(['src', 'src/deep'])},target=/m",
                 " --mount=type=bind,target=/m,rw", " --mount=type=tmpfs,target=/m", " --network=none"]
            )  # fmt: skip
            if number and dice.randrange(2):
                flags = f" --mount=type=bind,from=s{dice.randrange(number)},source=/{dice.choice(['app', 'tmp', ''])},target=/m"
        script = dice.choice(
            [
                f"{LOOK} | md5sum > /tmp/look",
                f"{SUMS} | md5sum > /tmp/sums",
                f"{SUMS} | md5sum | cut -c1 > /tmp/cut",  # often the same: what follows is a hit then
                f"{SUMS} > /dev/null; true",
                "env | grep -v HOSTNAME | sort > /tmp/env",
                "id > /tmp/id; pwd >> /tmp/id",
                f"mkdir -p {place} && echo ${name} >> {place}/log || true",
                f"rm -rf {place} || true",
                f"rm -f {place}/* 2>/dev/null; true",
                f"rm -rf {place}; mkdir -p {place} && touch {place}/new || true",
                f"cp -a {place} {other}/copy 2>/dev/null; true",
                f"mv {place}/* {other}/ 2>/dev/null; true",
                f"chmod -R go-rwx {place} 2>/dev/null; true",
                f"chown -R 7:8 {place} 2>/dev/null; true",
                f"ln -f {place}/a {place}/hard 2>/dev/null; true",
                f"ln -sfn {other} {place}/soft 2>/dev/null; true",
                f"for f in {place}/*; do [ -f $f ] && cat $f > /tmp/t && cat /tmp/t > $f; done 2>/dev/null; rm -f /tmp/t; true",
                "true",
                f"test -z \"${name}\" || echo {dice.choice(VALUES)} > /tmp/{name}",
            ]
        )  # fmt: skip
        return f"RUN{flags} {script}"

    # --- changes ---

    def change(self) -> str:
        """One change; what it was."""
        changes: list[tuple[int, Callable[[], str]]] = [
            (8, self._edit_tree), (2, self._ignore), (3, self._change_args), (3, self._change_line), (2, self._add_line),
            (1, self._remove_line), (1, self._swap_lines), (1, self._retarget), (1, self._label), (1, self._rebase),
        ]  # fmt: skip
        (chosen,) = self.dice.choices([call for _, call in changes], [weight for weight, _ in changes])
        told = chosen()
        for name in ("src/a", "src/x.py"):  # most lines want them
            path = self.root / name
            if not os.path.lexists(path) and self.dice.randrange(4):
                path.parent.mkdir(exist_ok=True)
                path.write_text("again")
        return told

    def _edit_tree(self) -> str:
        return self.tree.edit()

    def _ignore(self) -> str:
        rules = self.dice.sample(
            ["**/b", "src/deep/*", "!src/deep/x", "**/.dot", "src/c*", "Buildfile", "**/x.*", "!**/b"], 2
        )
        rules += ["*", "!src"] if self.dice.randrange(8) == 0 else []
        (self.root / ".dockerignore").write_text("\n".join(rules))
        return f"ignore {rules}"

    def _change_args(self) -> str:
        name = self.dice.choice((*ARGS, "GLOBAL"))
        if name in self.args and self.dice.randrange(3) == 0:
            del self.args[name]
        else:
            self.args[name] = self.dice.choice(VALUES)
        return f"args {self.args}"

    def _some_stage(self) -> int:
        return self.dice.randrange(len(self.stages))

    def _change_line(self) -> str:
        number = self._some_stage()
        lines = self.stages[number].lines
        if lines:
            lines[self.dice.randrange(len(lines))] = self.line(number)
        return f"other line in s{number}"

    def _add_line(self) -> str:
        number = self._some_stage()
        lines = self.stages[number].lines
        if len(lines) < 9:
            lines.insert(self.dice.randrange(len(lines) + 1), self.line(number))
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
        self.labels = {"by": self.dice.choice(VALUES)}
        return f"labels {self.labels}"

    def _rebase(self) -> str:
        number = self._some_stage()
        below = [f"s{other}" for other in range(number)]
        self.stages[number].base = self.dice.choice(["base", "base2", *below])
        return f"base of s{number}: {self.stages[number].base}"
