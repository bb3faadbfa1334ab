"""What only the report of a build asks for: stages, layers, conditions, warnings; what builds have alike is kept once."""

from __future__ import annotations

import json

from builder.digest import digest_of
from builder.events import Condition, LayerSize, StageNode, Warned
from builder.store.database import Database
from builder.value import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """What is kept of an error beside its message: what to do, where it is (`line` and `column` count from 1, 0 where nobody
    knows), and of a command its status (-1: it is another kind of error) and last output, in which secrets are masked.
    """

    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    status: int = -1
    output: str = ""


@dataclass(frozen=True, slots=True)
class Detail:
    """What a build had beside its steps; of the warnings the times are not kept.

    `origins` are the numbers of steps whose hits came from remote caches, with these.
    """

    stages: tuple[StageNode, ...] = ()
    layers: tuple[LayerSize, ...] = ()
    conditions: tuple[Condition, ...] = ()
    warnings: tuple[Warned, ...] = ()
    origins: tuple[tuple[int, str], ...] = ()
    failure: Failure | None = None


class Details:
    """The details of all builds of the history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, build: int, detail: Detail) -> None:
        """Keep a build's details; call it in the transaction that keeps the build."""
        text = _text(detail)
        name = digest_of(text.encode("utf-8", "surrogatepass")).hex[:32]
        self._database.run("INSERT OR IGNORE INTO details (id, text) VALUES (?,?)", (name, text))
        self._database.run("INSERT OR REPLACE INTO build_details (build, detail) VALUES (?,?)", (build, name))

    def get(self, build: int) -> Detail:
        """A build's details; none if nobody kept them, or if they are damaged."""
        row = self._database.one(
            "SELECT text FROM details JOIN build_details ON id = detail WHERE build = ?", (build,)
        )
        detail = Detail() if row is None else _detail(str(row[0]))
        late = self._database.all(
            "SELECT place, failure FROM sendings WHERE build = ? AND failure != '' ORDER BY number", (build,)
        )
        # What became of remote caches after the build.
        failed = tuple(Warned(0.0, f"cache export failed: {place}: {failure}", "") for place, failure in late)
        return replace(detail, warnings=detail.warnings + failed) if failed else detail

    def forget(self, last: int) -> None:
        """Drop those of all builds up to a number; call it in the transaction that drops the builds."""
        self._database.run("DELETE FROM build_details WHERE build <= ?", (last,))
        self._database.run("DELETE FROM details WHERE id NOT IN (SELECT detail FROM build_details)")


def _text(detail: Detail) -> str:
    fields = {
        "stages": [[one.index, one.name, one.base, one.needs, one.target] for one in detail.stages],
        "layers": [[one.state, one.digest, one.size, one.tar_size, one.pulled] for one in detail.layers],
        "conditions": [[one.text, one.met, one.found] for one in detail.conditions],
        "warnings": [[one.message, one.place] for one in detail.warnings],
        "origins": [[number, origin] for number, origin in detail.origins],
        "failure": [
            [one.hint, one.file, one.line, one.column, one.status, one.output]
            for one in (detail.failure,)
            if one
        ],
    }
    return json.dumps({name: rows for name, rows in fields.items() if rows}, separators=(",", ":"))


def _detail(text: str) -> Detail:
    try:
        found: dict[str, list[Any]] = json.loads(text)
        return Detail(
            tuple(
                StageNode(int(index), str(name), str(base), tuple(map(int, needs)), bool(target))
                for index, name, base, needs, target in found.get("stages", ())
            ),
            tuple(
                LayerSize(str(state), str(digest), int(size), int(tar_size), bool(pulled))
                for state, digest, size, tar_size, pulled in found.get("layers", ())
            ),
            tuple(
                Condition(str(text), bool(met), str(found))
                for text, met, found in found.get("conditions", ())
            ),
            tuple(Warned(0.0, str(message), str(place)) for message, place in found.get("warnings", ())),
            tuple((int(number), str(origin)) for number, origin in found.get("origins", ())),
            next(
                (
                    Failure(
                        str(hint), str(file), int(line), int(column), int(status), "".join(map(str, output))
                    )
                    # Older versions kept no output.
                    for hint, file, line, column, status, *output in found.get("failure", ())
                ),
                None,
            ),
        )
    except (ValueError, TypeError, AttributeError):
        return Detail()
