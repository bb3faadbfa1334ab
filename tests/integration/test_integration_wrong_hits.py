"""No wrong hit: after random changes of build file, context and arguments a build equals one without a cache.

`HIT_ROUNDS` and `HIT_SEED` in the environment ask for a longer campaign, or one that failed.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from image_bytes import difference
from random_projects import Project

import builder
from builder.engine.request import Output

ROUNDS = int(os.environ.get("HIT_ROUNDS", "60"))
SEED = int(os.environ.get("HIT_SEED", "11"))


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
    """Builds of one project: into a store that remembers, and into one that is never asked."""

    def __init__(self, project: Project, bases: Path, folder: Path) -> None:
        self.project, self.cached, self.fresh = project, folder / "cached", folder / "fresh"
        self._contexts = {name: f"oci-layout://{bases / name}" for name in ("base", "base2")}
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def _build(self, store: Path, *, no_cache: bool) -> str:
        project = self.project
        result = builder.build(
            str(project.root),
            store=str(store),
            no_cache=no_cache,
            target=project.target,
            build_args={**project.args, "SOURCE_DATE_EPOCH": "0"},
            labels=project.labels,
            build_contexts=self._contexts,
            outputs=[Output("image", attributes={"rewrite-timestamp": "true"})],
        )
        if not no_cache:
            self.outcomes.update(step.outcome.value for step in result.steps)
            self.outcomes["cut off"] += _cut_off(result)
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
        whole, expected = self._try(self.fresh, no_cache=True)
        part, message = self._try(self.cached, no_cache=False)
        if message != expected:
            return f"without a cache: {expected or 'done'}\nwith one: {message or 'done'}"
        return difference(self.fresh, whole, self.cached, part)

    def forget(self) -> None:
        for store in (self.cached, self.fresh):
            shutil.rmtree(store, ignore_errors=True)


@pytest.mark.timeout(36000)
def test_no_wrong_hit(bases: Path, memory: Path) -> None:
    dice = random.Random(SEED)
    (memory / "context").mkdir()
    project = Project(memory / "context", dice)
    builds = Builds(project, bases, memory)
    failed: list[str] = []
    for number in range(ROUNDS):
        if number % 100 == 0:
            builds.forget()
        if number % 12 == 0:
            project.begin()
        changes = [project.change() for _ in range(dice.randrange(1, 5))]
        text = project.write()
        if told := builds.compare():
            failed.append(f"round {number}, seed {SEED}, {changes}:\n{text}\n{told}\n")
            builds.forget()  # so that it is told once
        if len(failed) > 3:
            break
    print(dict(builds.outcomes), *builds.errors.most_common(20), sep="\n")
    assert not failed, "\n".join(failed)
    assert builds.outcomes["hit"] > ROUNDS and builds.outcomes["miss"] > ROUNDS
    assert builds.outcomes["failed"] < ROUNDS
    assert builds.outcomes["cut off"] > 0
