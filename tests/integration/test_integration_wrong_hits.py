"""No wrong hit: after random changes of build file, contexts and arguments a build equals one without a cache.

`HIT_ROUNDS` and `HIT_SEED` in the environment ask for a longer campaign, or one that failed.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from image_bytes import difference, same_but_for_times
from random_projects import Project
from web_server import run_web

import builder
from builder.engine.request import Output

ROUNDS = int(os.environ.get("HIT_ROUNDS", "60"))
SEED = int(os.environ.get("HIT_SEED", "31"))


def _cut_off(result: builder.BuildResult) -> int:
    """Steps that are hits although one above them in their stage was carried out: it gave what it had given before."""
    found, missed = 0, set()
    for step in result.steps:
        if not step.slot:
            continue
        stage = step.slot.split("\n")[1]
        if step.outcome.value == "miss":
            missed.add(stage)
        found += step.outcome.value == "hit" and stage in missed
    return found


class Builds:
    """Builds of one project: into stores that remember, and into a new one that is never asked.

    There are two of those that remember; in some projects they have a remote cache between them.
    """

    def __init__(self, project: Project, dice: random.Random, folder: Path) -> None:
        self.project, self._dice, self._folder = project, dice, folder
        self._fresh = folder / "fresh"
        self._shares = False
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def begin(self) -> None:
        """A new project: with a remote cache or without."""
        self._shares = self._dice.randrange(2) == 0

    def _build(self, store: Path, *, no_cache: bool) -> str:
        project = self.project
        options = dict(project.options)
        if self._shares and not no_cache:
            place = str(self._folder / "shared")
            options["cache_from"] = [builder.CacheSpec("local", {"src": place, "wait": "60"})]
            options["cache_to"] = [builder.CacheSpec("local", {"dest": place, "mode": "max"})]
        result = builder.build(
            str(project.root),
            store=str(store),
            no_cache=no_cache,
            target=project.target,
            build_args={**project.args, "SOURCE_DATE_EPOCH": "0"},
            build_contexts=project.contexts(),
            outputs=[Output("image", attributes={"rewrite-timestamp": "true", **project.attributes})],
            **options,
        )
        if not no_cache:
            self.outcomes.update(step.outcome.value for step in result.steps)
            self.outcomes["cut off"] += _cut_off(result)
            self.outcomes["from elsewhere"] += sum(bool(step.origin) for step in result.steps)
        return result.digest

    def _try(self, store: Path, *, no_cache: bool) -> tuple[str, str]:
        try:
            return self._build(store, no_cache=no_cache), ""
        except builder.BuilderError as error:
            self.outcomes["failed"] += 1
            self.errors[error.message[:100]] += 1
            return "", error.message

    def compare(self) -> str:
        """Build both ways; what differs, empty if nothing does."""
        cached = self._folder / ("cached" if self._dice.randrange(4) else "second")
        whole, expected = self._try(self._fresh, no_cache=True)
        part, message = self._try(cached, no_cache=False)
        if message != expected:
            return f"without a cache: {expected or 'done'}\nwith one: {message or 'done'}"
        told = difference(self._fresh, whole, cached, part)
        if told and same_but_for_times(self._fresh, whole, cached, part):
            self.outcomes["other times"] += 1
            told = ""
        shutil.rmtree(self._fresh, ignore_errors=True)
        if self._dice.randrange(40) == 0:
            pruned = builder.prune(
                store=str(cached), all=bool(self._dice.randrange(2)), max_used_space=1 << 17
            )
            self.outcomes["pruned"] += len(pruned.items)
        return told

    def forget(self) -> None:
        for name in ("cached", "second", "fresh", "shared"):
            shutil.rmtree(self._folder / name, ignore_errors=True)


@pytest.mark.timeout(36000)
def test_no_wrong_hit(bases: Path, memory: Path) -> None:
    dice = random.Random(SEED)
    failed: list[str] = []
    with run_web() as web:
        project = Project(memory, dice, bases, web)
        builds = Builds(project, dice, memory)
        for number in range(ROUNDS):
            if number % 100 == 0:
                builds.forget()
            if number % 12 == 0:
                project.begin()
                builds.begin()
            changes = [project.change() for _ in range(dice.randrange(1, 5))]
            text = project.write()
            if told := builds.compare():
                failed.append(f"round {number}, seed {SEED}, {changes}, {project.options}:\n{text}\n{told}\n")
                builds.forget()  # so that it is told once
            if number % 100 == 99:
                print(number + 1, dict(builds.outcomes), flush=True)
            if len(failed) > 3:
                break
    print(dict(builds.outcomes), *builds.errors.most_common(40), sep="\n")
    assert not failed, "\n".join(failed)
    assert builds.outcomes["hit"] > ROUNDS and builds.outcomes["miss"] > ROUNDS
    assert builds.outcomes["failed"] < ROUNDS
    assert builds.outcomes["cut off"] > 0
    assert builds.outcomes["from elsewhere"] > 0
    assert builds.outcomes["other times"] < max(4, ROUNDS // 50)
