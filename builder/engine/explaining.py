"""`builder.explain`: why the steps of a past build missed, with the way to the first cause. Needs nothing but the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.errors import UsageError
from builder.events import Outcome
from builder.graph.naming import is_called
from builder.store.history import Build, BuildStep
from builder.store.store import Store, default_store_path, open_store
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.engine.differences import FileDifference
    from builder.store.details import Failure


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """A step with its reasons; `chain` are the steps that they lead to: the cause, its cause, … down to the first.

    `differences` are those of the files that its reasons name, if they were asked for.
    """

    step: BuildStep
    chain: tuple[BuildStep, ...] = ()
    differences: tuple[FileDifference, ...] = ()

    @property
    def root(self) -> BuildStep:
        """The step with which it began: the last of the chain, or itself."""
        return self.chain[-1] if self.chain else self.step


@dataclass(frozen=True, slots=True)
class Explanation:
    """A build and those of its steps that were asked for; `failure` is what is known of why it has no result."""

    build: Build
    steps: tuple[ExplainedStep, ...]
    failure: Failure | None = None


def explain(
    build: int | None = None,
    step: int | str | None = None,
    *,
    store: str | None = None,
    diff: bool = False,
    userxattr: bool = False,
) -> Explanation:
    """Say why steps of a build that has ended were carried out.

    Args:
        build: The number of the build; default is the last, and -1 that before it.
        step: The number of a step, or its name: `build/2`, or text of its title; default is every step.
        store: The store's folder; default is the user's own.
        diff: Tell also how the text of changed files differs, as far as the store has both versions.
        userxattr: The process is root of a user namespace.

    Raises:
        BuilderError: If there is no such build or step.
    """
    with open_store(store or default_store_path(), userxattr=userxattr, reading=True) as opened:
        return explain_build(opened, build, step, diff=diff)


def explain_build(
    store: Store, build: int | None = None, step: int | str | None = None, *, diff: bool = False
) -> Explanation:
    """As `explain`, from a store that is open."""
    found = _find_build(store, build)
    steps = store.history.steps(found.number)
    by_number = {one.number: one for one in steps}
    chosen = steps if step is None else find_steps(steps, str(step))
    explained = []
    for one in chosen:
        differences: tuple[FileDifference, ...] = ()
        if diff and one.outcome is not Outcome.HIT:
            # Late: most explanations are one line.
            from builder.engine.differences import step_differences

            differences = step_differences(store, one)
        explained.append(ExplainedStep(one, _chain(one, by_number), differences))
    failure = None if found.ok else store.history.details.get(found.number).failure
    return Explanation(found, tuple(explained), failure)


def _find_build(store: Store, number: int | None) -> Build:
    history = store.history
    if number is None or number < 0:
        back = -(number or 0)
        builds = history.builds(back + 1)
        if len(builds) > back:
            return builds[back]
        if not builds:
            raise UsageError("there was no build yet", hint="its history begins with the first one")
        raise UsageError(f"there were only {len(builds)} builds")
    found = history.build(number)
    if found is not None:
        return found
    last = history.last()
    if last is None:
        raise UsageError("there was no build yet", hint="its history begins with the first one")
    raise UsageError(f"there is no build {number}", hint=f"the last one is {last.number}")


def find_steps(steps: Sequence[BuildStep], name: str) -> list[BuildStep]:
    """The steps that a name means: a number, `STAGE/NUMBER`, or text that is in the title. A `UsageError` if none is."""
    found = [one for one in steps if name.isdecimal() and one.number == int(name)]
    found = found or [one for one in steps if is_called(one.title, name, stage=one.stage)]
    found = found or [one for one in steps if name in one.title]
    if found:
        return found
    known = "; ".join(f"{one.number} {one.title}" for one in steps[:8])
    raise UsageError(
        f'the build has no step "{name}"',
        hint=f"its steps are: {known}{'; …' if len(steps) > 8 else ''}" if steps else "it has none at all",
    )


def _chain(step: BuildStep, steps: Mapping[int, BuildStep]) -> tuple[BuildStep, ...]:
    """The steps that a step's reasons lead to, each the cause of the one before it."""
    found: dict[int, BuildStep] = {}
    now = step
    while True:
        cause = next((reason.step for reason in now.reasons if reason.step), 0)
        if cause not in steps or cause == step.number or cause in found:
            return tuple(found.values())
        now = found[cause] = steps[cause]
