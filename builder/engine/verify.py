"""Verification: chosen steps run twice, each time from the same files, and what they leave is compared.

Both runs are thrown away: the cache holds what the build itself put there, and no more.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from builder.core.changes import changes_diff
from builder.core.files import open_in_root
from builder.core.tree import Change
from builder.engine.differences import read_regular, text_difference
from builder.engine.reporter import StepReporter
from builder.engine.session import Session, Stand
from builder.engine.verified import Difference, VerifiedStep
from builder.engine.work import Work
from builder.errors import BuilderError, Cancelled, CoreError, StepError, UsageError
from builder.events import Outcome
from builder.execute.rootfs import StepRoot
from builder.graph.naming import is_called
from builder.graph.steps import RunStep, Step
from builder.store.runs import Run
from builder.value import replace

# Differences that are told of one step; the rest is counted.
_TOLD = 500
# Files whose text is compared.
_MOST_TEXTS = 20
# So much later the second run begins, at least: what the clock's seconds get into shows then.
_TICK = 1.1
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_KINDS = {"added": "second-only", "removed": "first-only"}


def is_chosen(wanted: Sequence[str], stand: Stand) -> bool:
    """Whether a step is to be verified: all RUN steps if nothing is said, those of a stage by its name, any by its own."""
    if not wanted:
        return isinstance(stand.step, RunStep)
    return any(_is_meant(name, stand) for name in wanted)


def _is_meant(name: str, stand: Stand) -> bool:
    stage = stand.stage or str(stand.index)
    if name.lower() == stage.lower():
        return isinstance(stand.step, RunStep)
    return is_called(stand.step.title, name, stage=stage) or (name.strip() != "" and name in stand.step.title)


def check_names(wanted: Sequence[str], stood: Sequence[Stand]) -> None:
    """A `UsageError` for a name that no step of the build has."""
    for name in wanted:
        if not any(_is_meant(name, stand) for stand in stood):
            known = "; ".join(stand.step.title for stand in stood[:8])
            hint = f"its steps are: {known}" if known else "it has no step that is carried out"
            raise UsageError(f'the build has no step "{name}" to verify', hint=hint)


def verify_step(session: Session, stand: Stand, make_work: Callable[[StepReporter], Work]) -> VerifiedStep:
    """Run a step twice and compare. `make_work` gives its work anew."""
    reporter = session.events.start(
        f"verify {stand.step.title}", stand.stage, stand.step.span.line, of=stand.index
    )
    try:
        with session.workers:
            found = _verify(session, stand, reporter, make_work)
    except BuilderError as error:
        outcome = Outcome.CANCELLED if isinstance(error, Cancelled) else Outcome.FAILED
        reporter.finish(outcome, error=error.message)
        raise
    reporter.finish(Outcome.DONE)
    return found


def _verify(
    session: Session, stand: Stand, reporter: StepReporter, make_work: Callable[[StepReporter], Work]
) -> VerifiedStep:
    store, begun = session.store, time.monotonic()
    result = VerifiedStep(stand.step.title, stand.stage, stand.step.span.line, 0.0)
    with ExitStack() as stack:
        uppers: list[int] = []
        for number in ("first", "second"):
            session.check()
            run = stack.enter_context(store.new_run())
            try:
                _run_once(session, run, stand.parent, make_work(reporter), reporter)
            except Cancelled:
                raise
            except (StepError, CoreError) as error:
                failed = f"the {number} run failed: {error.message}"
                return replace(result, error=failed, seconds=reporter.seconds)
            uppers.append(os.open(run.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=store.fd))
            stack.callback(os.close, uppers[-1])
            if number == "first":
                session.cancelled.wait(max(0.0, begun + _TICK - time.monotonic()))
        # Times belong to a layer only where they are made equal: else every layer differs by them.
        newest = -1 if session.fixed_time is None else session.fixed_time * 10**9
        changes, total = changes_diff(uppers[0], uppers[1], store.secret, newest=newest, limit=_TOLD)
        quiet = "a secret was at hand, so that no text is shown" if _knows_secrets(stand.step) else ""
        told = tuple(_tell(changes, uppers, quiet))
        return replace(result, seconds=reporter.seconds, differences=told, total=total)


def _run_once(session: Session, run: Run, parent: bytes, work: Work, reporter: StepReporter) -> None:
    try:
        for _ in work.key_parts():  # which opens what the work needs
            pass
        with StepRoot(session.store, run, parent, alone=work.alone, process=work.process) as root:
            work.carry_out(root, reporter)
            root.settle(newest=session.fixed_time)
    finally:
        work.close()


def _knows_secrets(step: Step) -> bool:
    return isinstance(step, RunStep) and any(mount.kind in ("secret", "ssh") for mount in step.mounts)


def _tell(changes: Sequence[Change], uppers: Sequence[int], quiet: str) -> list[Difference]:
    found, texts = [], 0
    for change in changes:
        difference = Difference(f"/{change.path}", _KINDS.get(change.kind, change.kind), change.detail)
        if change.kind == "target":
            difference = replace(difference, detail=" → ".join(_target(fd, change.path) for fd in uppers))
        elif change.kind == "content" and quiet:
            difference = replace(difference, note=quiet)
        elif change.kind == "content" and texts < _MOST_TEXTS:
            texts += 1
            difference = _with_text(difference, uppers, change.path)
        found.append(difference)
    return found


def _with_text(difference: Difference, uppers: Sequence[int], path: str) -> Difference:
    contents = []
    for fd in uppers:
        content = _content(fd, path)
        if isinstance(content, str):
            return replace(difference, note=content)
        contents.append(content)
    told = text_difference(path, contents[0], contents[1], ("first", "second"))
    return replace(difference, lines=told.lines, note=told.note)


def _raw(path: str) -> bytes:
    """The name that the core wrote with escapes."""
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), path.encode("utf-8", "surrogateescape"))


def _content(root: int, path: str) -> bytes | str:
    try:
        fd = open_in_root(root, _raw(path), os.O_PATH | os.O_NOFOLLOW)
    except CoreError as error:
        return error.message
    try:
        return read_regular(fd)
    finally:
        os.close(fd)


def _target(root: int, path: str) -> str:
    try:
        fd = open_in_root(root, _raw(path), os.O_PATH | os.O_NOFOLLOW)
    except CoreError:
        return "?"
    try:
        return os.readlink(b"", dir_fd=fd).decode("utf-8", "surrogateescape")
    except OSError:
        return "?"
    finally:
        os.close(fd)
