"""The history: one row for every build, one for every step of it.

What steps depended on stays in their records, which builds share; titles and the like are kept once however often they come
again. So a build that changed nothing adds about a hundred bytes a step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from builder.events import Outcome, Reason
from builder.store.database import Database
from builder.store.details import Detail, Details
from builder.store.rows import number, raw, whole
from builder.value import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Builds that are remembered; older ones are forgotten, a few at a time.
KEPT = 10_000
_TRIM_EVERY = 64

_BUILD = (
    "number, started, seconds, outcome, error, file, context, target, stages, platform, image, names, hits, misses, "
    "saved, counters"
)
_STEP = (
    "build, number, slot, title, stage, line, outcome, started, seconds, saved, size, key, state, digest, same, "
    "compared, reasons, error"
)


@dataclass(frozen=True, slots=True)
class Build:
    """One build that has ended.

    `number` is what people call it, growing from 1; 0 before it is kept. `started` is seconds since 1970. `outcome` is
    `done`, `failed` or `cancelled`. `file` is the build file as it was named, `context` the whole path or the address of the
    context. `stages` are the names (or numbers) of the stages that were needed. `saved` is the time that hits once took.
    `counters` are sums by name, such as bytes hashed.
    """

    started: float
    seconds: float
    outcome: str
    error: str = ""
    file: str = ""
    context: str = ""
    target: str = ""
    stages: tuple[str, ...] = ()
    platform: str = ""
    image: str = ""
    names: tuple[str, ...] = ()
    hits: int = 0
    misses: int = 0
    saved: float = 0.0
    counters: Mapping[str, int] = field(default_factory=dict)
    number: int = 0

    @property
    def ok(self) -> bool:
        """Whether it came to its end."""
        return self.outcome == "done"


@dataclass(frozen=True, slots=True)
class BuildStep:
    """One step of a build; `number` is that of its events, `key` that of its record (empty: it has none).

    `slot` names the step across builds: build file, stage and instruction, a line each; empty for what is no step of a
    stage. `compared` is the key of the earlier record that a miss was compared with. `digest` is, for a base, what its
    reference stood for. `same` tells of a step that ran and gave the result that it had given before. `started` is seconds
    since 1970.
    """

    number: int
    slot: str
    title: str
    stage: str
    line: int
    outcome: Outcome
    started: float
    seconds: float
    saved: float = 0.0
    size: int = 0
    key: bytes = b""
    state: bytes = b""
    digest: str = ""
    same: bool = False
    compared: bytes = b""
    reasons: tuple[Reason, ...] = ()
    error: str = ""
    build: int = 0


class History:
    """All builds of a store that it remembers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.details = Details(database)

    def add(self, build: Build, steps: Sequence[BuildStep], detail: Detail | None = None) -> int:
        """Keep a build with its steps, in one transaction; the number that it gets."""
        database = self._database
        texts = {(step.slot, step.title, step.stage) for step in steps}
        with database.transaction():
            number = database.insert(
                "INSERT INTO builds (started, seconds, outcome, error, file, context, target, stages, platform, image, names, "
                "hits, misses, saved, counters) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    *(build.started, build.seconds, build.outcome, build.error, build.file, build.context),
                    *(build.target, _json(build.stages), build.platform, build.image, _json(build.names)),
                    *(build.hits, build.misses, build.saved, _json(dict(build.counters))),
                ),
            )
            database.many("INSERT OR IGNORE INTO step_texts (slot, title, stage) VALUES (?,?,?)", texts)
            database.many(
                "INSERT INTO build_steps (build, number, text, line, outcome, started, seconds, saved, size, key, state, "
                "digest, same, compared, reasons, error) VALUES (?,?,"
                "(SELECT id FROM step_texts WHERE slot = ? AND title = ? AND stage = ?),?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    (
                        *(
                            number,
                            step.number,
                            step.slot,
                            step.title,
                            step.stage,
                            step.line,
                            step.outcome.value,
                        ),
                        *(step.started, step.seconds, step.saved, step.size, step.key, step.state),
                        *(step.digest, step.same, step.compared, _reasons_text(step.reasons), step.error),
                    )
                    for step in steps
                ),
            )
            if detail is not None:
                self.details.put(number, detail)
            if number % _TRIM_EVERY == 0:
                self._forget(number - KEPT)
        return number

    def _forget(self, last: int) -> None:
        """Drop all builds up to a number."""
        if last <= 0:
            return
        self._database.run("DELETE FROM build_steps WHERE build <= ?", (last,))
        self._database.run("DELETE FROM builds WHERE number <= ?", (last,))
        self.details.forget(last)
        self._database.run("DELETE FROM step_texts WHERE id NOT IN (SELECT text FROM build_steps)")

    def builds(self, limit: int = 0, *, before: int = 0) -> list[Build]:
        """Builds, the newest first: at most `limit` (0: all), only those `before` a number if one is given."""
        rows = self._database.all(
            f"SELECT {_BUILD} FROM builds WHERE (? = 0 OR number < ?) ORDER BY number DESC LIMIT ?",
            (before, before, limit or -1),
        )
        return [_build(row) for row in rows]

    def build(self, number: int) -> Build | None:
        """A build by its number, None if nobody remembers it."""
        row = self._database.one(f"SELECT {_BUILD} FROM builds WHERE number = ?", (number,))
        return None if row is None else _build(row)

    def last(self) -> Build | None:
        """The newest build, None if there is none."""
        return next(iter(self.builds(1)), None)

    def like(self, build: Build, limit: int) -> list[Build]:
        """Builds that had the context, build file and target of one, up to it, the newest first."""
        rows = self._database.all(
            f"SELECT {_BUILD} FROM builds WHERE context = ? AND file = ? AND target = ? AND number <= ? "
            "ORDER BY number DESC LIMIT ?",
            (build.context, build.file, build.target, build.number, limit),
        )
        return [_build(row) for row in rows]

    def steps(self, number: int) -> list[BuildStep]:
        """The steps of a build by their numbers."""
        return self._steps("build = ? ORDER BY number", (number,))

    def steps_of(self, numbers: Iterable[int]) -> list[BuildStep]:
        """The steps of several builds, by build and number."""
        wanted = sorted(set(numbers))
        if not wanted:
            return []
        # Numbers, made here: a statement takes only so many values.
        listed = ",".join(str(int(number)) for number in wanted)
        return self._steps(f"build IN ({listed}) ORDER BY build, number", ())

    def of_slot(self, slot: str, limit: int) -> list[BuildStep]:
        """The newest steps of a slot, of whatever build, the newest first."""
        return self._steps(
            "text IN (SELECT id FROM step_texts WHERE slot = ?) ORDER BY build DESC, number DESC LIMIT ?",
            (slot, limit),
        )

    def recent(self, slot: str, title: str, stage: str, limit: int) -> list[BuildStep]:
        """The newest steps of just these texts, the newest first: quick, however long the history is."""
        return self._steps(
            "text = (SELECT id FROM step_texts WHERE slot = ? AND title = ? AND stage = ?) ORDER BY build DESC LIMIT ?",
            (slot, title, stage, limit),
        )

    def last_keys(self, slot: str, most: int) -> frozenset[bytes]:
        """The keys that the steps of a slot had in its newest build that came to its end, and in those after it that did not; of
        `most` builds at most.
        """
        found: set[bytes] = set()
        before = 1 << 62
        for _ in range(most):
            newest = self._database.one(
                "SELECT max((SELECT max(build) FROM build_steps WHERE text = id AND build < ?)) FROM step_texts WHERE slot = ?",
                (before, slot),
            )
            if newest is None or newest[0] is None:
                break
            before = whole(newest[0])
            rows = self._database.all(
                "SELECT key FROM build_steps WHERE build = ? AND text IN (SELECT id FROM step_texts WHERE slot = ?)",
                (before, slot),
            )
            found.update(raw(row[0]) for row in rows)
            build = self.build(before)
            if build is None or build.ok:
                break
        return frozenset(found)

    def texts(self, within: str) -> list[tuple[str, str]]:
        """The slots that have a text within them, with the titles of their steps. Looks at all that there are."""
        rows = self._database.all("SELECT slot, title FROM step_texts WHERE instr(slot, ?)", (within,))
        return [(str(slot), str(title)) for slot, title in rows]

    def _steps(self, condition: str, values: Sequence[Any]) -> list[BuildStep]:
        rows = self._database.all(
            f"SELECT {_STEP} FROM build_steps JOIN step_texts ON id = text WHERE {condition}", values
        )
        return [_step(row) for row in rows]


def _json(value: Any) -> str:
    if not value:
        return ""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    # Names that are no UTF-8 can be written only with escapes.
    return text if text.isprintable() else json.dumps(value, separators=(",", ":"))


def _reasons_text(reasons: tuple[Reason, ...]) -> str:
    return _json([(reason.kind, reason.part, reason.detail, reason.step) for reason in reasons])


def _loaded(text: object) -> Any:
    """What a column of JSON holds, None for an empty or damaged one."""
    try:
        return json.loads(str(text)) if text else None
    except ValueError:
        return None


def _texts(text: object) -> tuple[str, ...]:
    found = _loaded(text)
    return tuple(str(item) for item in found) if isinstance(found, list) else ()


def _build(row: tuple[Any, ...]) -> Build:
    count, started, seconds, outcome, error, file, context, target, stages, platform, image, names, *rest = (
        row
    )
    hits, misses, saved, counters_text = rest
    counters = _loaded(counters_text)
    known = counters.items() if isinstance(counters, dict) else ()
    return Build(
        number=whole(count),
        started=number(started),
        seconds=number(seconds),
        outcome=str(outcome),
        error=str(error),
        file=str(file),
        context=str(context),
        target=str(target),
        stages=_texts(stages),
        platform=str(platform),
        image=str(image),
        names=_texts(names),
        hits=whole(hits),
        misses=whole(misses),
        saved=number(saved),
        counters={str(name): value for name, value in known if isinstance(value, int)},
    )


def _step(row: tuple[Any, ...]) -> BuildStep:
    build, count, slot, title, stage, line, outcome, started, seconds, saved, size, *rest = row
    key, state, digest, same, compared, reasons, error = rest
    # In the order of the fields, which is quicker than by name: there may be thousands.
    return BuildStep(
        *(whole(count), str(slot), str(title), str(stage), whole(line), _outcome(outcome)),
        *(number(started), number(seconds), number(saved), whole(size), raw(key), raw(state)),
        *(str(digest), bool(same), raw(compared), _reasons(reasons), str(error), whole(build)),
    )


_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


def _outcome(text: object) -> Outcome:
    return _OUTCOMES.get(str(text), Outcome.CANCELLED)


def _reasons(text: object) -> tuple[Reason, ...]:
    if not text:
        return ()
    found = _loaded(text)
    try:
        return tuple(
            Reason(str(kind), str(part), str(detail), int(step)) for kind, part, detail, step in found or ()
        )
    except (TypeError, ValueError):
        return ()
