"""The earlier record that a miss is compared with: of the same line of the build file, the one that shares most with it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence

from builder.cache.key import Part
from builder.engine.session import Line, Parts, Session
from builder.graph.naming import read_title
from builder.graph.steps import CopyStep, RunStep, Step, WorkdirStep
from builder.store.records import Record

# Earlier records that an explanation compares with.
_COMPARED = 128
# Builds that are looked at for what the lines of a stage said the last time.
_BUILDS = 64
# Which parts are what a line of a build file says, and not what it stands on or takes.
_OF_LINE = frozenset({"argument", "script", "destination", "directory"})


def nearest_record(
    session: Session,
    slot: str,
    title: str,
    parts: Sequence[Part],
    *,
    without: str = "",
    above: Collection[bytes] = (),
) -> Record | None:
    """The record of an earlier build that shares most with some parts, of equals the one that has most parts of the same
    names, and of these the newest; pruned ones among them. None for a line that is new.

    Parts of the kind `without` count for nothing. `above` are the states that the step stands on: what made them is another
    step. So is what another line of the stage says by now, and what no line said any more the last time. The records of a slot
    are read once in a build.
    """
    known = earlier_records(session, slot)
    if not known:
        return None
    wanted = frozenset((part.kind, part.name, part.value) for part in parts if part.kind != without)
    called = frozenset((part.kind, part.name) for part in parts)
    others = _other_lines(session, slot, wanted)
    said = _lines_before(session, slot, known)
    own_line = _line(wanted)
    best: Record | None = None
    most, most_names = -1, -1
    for record, has in known:
        shared = len(wanted & has)
        if shared < most:
            continue
        if record.state in above and ("parent", "", record.state.hex()) not in has:
            continue
        line = _line(has)
        if line in others or (said and line != own_line and line not in said):
            continue
        names = len(called.intersection(part[:2] for part in has))
        if shared > most or names > most_names:
            best, most, most_names = record, shared, names
    if most < len(wanted) - 1 and slot.count("\n") > 1:
        # There may be more than these, or an equal step of another stage made the record: the step's own last run is the
        # likeliest.
        stage = slot.split("\n")[-2]
        for row in session.store.history.recent(slot, title, "" if stage.isdecimal() else stage, 1):
            own = session.store.records.find(row.key) if row.key else None
            if own is not None and len(wanted.intersection(own.parts)) > most:
                return own
    return best


def earlier_records(session: Session, slot: str) -> list[tuple[Record, Parts]]:
    """The newest records of a slot that were made before this build, pruned ones among them, each with its parts as a set."""
    known = session.earlier.get(slot)
    if known is None:
        records = [*_made_before(session, slot), *session.store.records.met(slot)]
        if not records and (before := _slot_before(session, slot)):
            records = _made_before(session, before)
        known = session.earlier[slot] = [(record, frozenset(record.parts)) for record in records]
    return known


def _made_before(session: Session, slot: str) -> list[Record]:
    found = session.store.records.nearest(slot, _COMPARED + len(session.made), evicted=True)
    return [record for record in found if record.key not in session.made][:_COMPARED]


# --- lines ---


def _other_lines(session: Session, slot: str, own: Iterable[tuple[str, str, str]]) -> frozenset[Line]:
    """What the other lines of a step's stage say."""
    begin = slot.rpartition("\n")[0] + "\n"
    said = session.said.get(begin)
    if said is None:
        said = session.said[begin] = frozenset(map(_said, session.lines.get(begin, ())))
    return said - {_line(own)}


def _lines_before(session: Session, slot: str, known: Sequence[tuple[Record, Parts]]) -> frozenset[Line]:
    """What the lines of a slot said in its last build, as far as their records are known; empty if nobody knows."""
    said = session.said.get(slot)
    if said is None:
        keys = session.store.history.last_keys(slot, _BUILDS)
        said = session.said[slot] = frozenset(_line(has) for record, has in known if record.key in keys)
    return said


def _line(parts: Iterable[tuple[str, str, str]]) -> Line:
    return frozenset(part for part in parts if part[0] in _OF_LINE and part[0] != "directory") or frozenset(
        part for part in parts if part[0] == "directory"
    )


def _said(step: Step) -> Line:
    """What a step's line says, as its parts have it."""
    if isinstance(step, RunStep):
        scripts = ((one.name, one.content.decode("utf-8", "surrogateescape")) for one in step.scripts)
        return frozenset(
            [
                *(("argument", str(number), text) for number, text in enumerate(step.argv)),
                *(("script", name, content) for name, content in scripts),
            ]
        )
    if isinstance(step, CopyStep):
        return frozenset({("destination", "", step.destination)})
    assert isinstance(step, WorkdirStep)
    return frozenset({("directory", "", step.path)})


def shown_line(record: Record) -> str:
    """The line that a record was made by, as far as its parts tell, on one line."""
    instruction = next((value for kind, _, value in record.parts if kind == "instruction"), "")
    if instruction == "RUN":
        words = [value for kind, _, value in record.parts if kind == "argument"][-1:]
    elif instruction == "WORKDIR":
        words = [value for kind, _, value in record.parts if kind == "directory"]
    else:
        words = [name for kind, name, _ in record.parts if kind in ("file", "from", "inline", "url", "git")]
        words += [value for kind, _, value in record.parts if kind == "destination"]
    return " ".join(" ".join([instruction, *words]).split())


# --- a build file that was elsewhere ---


def _slot_before(session: Session, slot: str) -> str:
    """The slot of the same step where its build file was before: it has the same name, and half of the lines of the stage at
    least; and either it is there no more, or its folder is called the same. Empty if there is none.
    """
    file, _, rest = slot.partition("\n")
    begin = f"{slot.rpartition(chr(10))[0]}\n"
    if not file.startswith("/") or not rest or begin not in session.lines:
        return ""
    if begin not in session.moved:
        session.moved[begin] = _file_before(session, file, begin.partition("\n")[2], session.lines[begin])
    found = session.moved[begin]
    return f"{found}\n{rest}" if found else ""


def _file_before(session: Session, file: str, stage: str, steps: Sequence[Step]) -> str:
    wanted = {_text(step.title) for step in steps}
    found: dict[str, set[str]] = {}
    for slot, title in session.store.history.texts(f"/{os.path.basename(file)}\n{stage}"):
        path = slot.partition("\n")[0]
        text = _text(title)
        if path != file and text in wanted:
            found.setdefault(path, set()).add(text)
    likely = [
        path
        for path, texts in found.items()
        if len(texts) > 1
        and 2 * len(texts) >= len(wanted)
        and (not os.path.lexists(path) or _folder(path) == _folder(file))
    ]
    return max(likely, key=lambda path: len(found[path]), default="")


def _folder(path: str) -> str:
    return os.path.basename(os.path.dirname(path))


def _text(title: str) -> str:
    known = read_title(title)
    return title if known is None else known.text
