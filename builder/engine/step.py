"""One step: look its key up, and where that misses carry it out and keep the result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from builder.cache.key import SCRATCH, Part, key_of, state_after
from builder.engine.control import UNTRUSTED, decided_anew, expired
from builder.engine.reasons import Above, Miss, why_missed
from builder.engine.reporter import StepReporter
from builder.engine.session import Session
from builder.engine.work import Work
from builder.errors import BuilderError, CacheLostError, Cancelled, CoreError, Location, StepError, StoreError
from builder.events import Outcome, Reason
from builder.graph.steps import Control
from builder.store.records import Record
from builder.store.runs import Run
from builder.value import dataclass, field, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.engine.shared_steps import SharedKey

# Earlier records among which a beginning is looked for.
_COMPARED = 64


@dataclass(frozen=True, slots=True)
class Done:
    """How a step ended: the state it leads to, when its files were made, whether that is another state than before, and
    whether this build carried it out (`made`).

    `twin` is the step of this build that made what this one found: an equal one of another stage.
    """

    state: bytes
    created: float
    changed: bool = False
    twin: Above | None = None
    made: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands, across builds (`slot`) and in this one.

    `refusal` says why the cache is not asked, empty if it is; `control` is what a comment above the step says. `above` is what
    it stands on, the lowest first; `sources` are, by their states, the stages and images that it takes files from, as far as
    its work has asked for them.
    """

    slot: str
    location: Location
    refusal: str = ""
    control: Control = Control()
    above: Sequence[Above] = ()
    sources: Mapping[str, Above] = field(default_factory=dict)

    @property
    def cached(self) -> bool:
        """Whether results of other builds may be used."""
        return not self.refusal

    @property
    def asked(self) -> bool:
        """Whether the cache is asked for this step."""
        return self.cached and not decided_anew(self.control)


def perform(session: Session, place: Place, reporter: StepReporter, parent: bytes, work: Work) -> Done:
    """Bring one step to its end: from the cache, or by its work. Every way out is reported as an event."""
    try:
        session.check()
        return _perform(session, place, reporter, parent, work)
    except (Cancelled, CacheLostError):
        reporter.finish(Outcome.CANCELLED)
        raise
    except BuilderError as error:
        if isinstance(error, CoreError):
            error = _from_core(error)
        if error.location is None:
            error.location = place.location
            if isinstance(error, StepError) and error.about:
                from builder.graph.places import closer

                error.location = closer(session.graph.file, place.location, error.about)
        reporter.finish(Outcome.FAILED, error=error.message)
        raise error from None
    finally:
        work.close()


def _perform(session: Session, place: Place, reporter: StepReporter, parent: bytes, work: Work) -> Done:
    store, remote = session.store, session.remote
    keys: list[bytes] = []
    shared: list[SharedKey] = []
    parts, too_old = tuple[Part, ...](), ""
    forms = iter(work.key_parts())
    for parts in forms:
        keys.append(key_of(parts, store.secret))
        record, origin = _look_up(session, place, keys[-1]), ""
        if remote is not None and record is None:
            if place.asked:
                remote.begin()
            shared.append(remote.shared_key(work.portable_parts(remote.portables)))
            found = remote.look_up(shared[-1], keys[-1], place.slot, parts, parent) if place.asked else None
            too_old = expired(place.control, found.record) if found is not None else ""
            if found is not None and not too_old:
                record, origin, shared = found.record, found.origin, list(found.shared)
                # So that the next change here names its files.
                listing = work.save_listing(store.listing_file(place.slot, ""), keys[-1].hex())
                record = replace(record, listing=listing)
                store.records.put(record, signer=found.signer)
                # For a later export: what the complete key is about may not be here then.
                remote.remember_key(record.key, found.shared)
        elif remote is not None and record is not None:
            remote.spared(record)
            _name_wholly(session, work, record, forms, shared)
        if record is not None:
            for key in keys[:-1]:  # next time the cheap key is enough
                store.records.put(replace(record, key=key), signer=store.records.signer(keys[-1]))
            _note(session, work, place, parent, record, keys, shared)
            return _hit(session, reporter, record, origin)
    with _held(reporter, store.step_lock(keys[-1])):
        # Another build, or stage, may have done it while this one waited.
        if record := _look_up(session, place, keys[-1]):
            _note(session, work, place, parent, record, keys, shared)
            return _hit(session, reporter, record)
        with _held(reporter, session.workers):
            session.check()
            listing = work.save_listing(store.listing_file(place.slot, ""), keys[-1].hex())
            reporter.key = keys[-1]
            miss = _why(session, reporter.title, place, work, parts, keys, listing, shared, too_old)
            reporter.reasons = miss.reasons
            reporter.compared = miss.told_against
            begin = _beginning(session, place, parts, work, listing) if listing else None
            state, size = _carry_out(session, place, reporter, parent, work, begin)
        record = Record(
            key=keys[-1],
            state=state,
            slot=place.slot,
            parts=tuple((part.kind, part.name, part.value) for part in parts),
            created=time.time(),
            seconds=reporter.seconds,
            size=size,
            listing=listing,
        )
        same = miss.compared is not None and miss.compared.state == state
        # Who made nothing before and now is not to blame for what the states below have become.
        changed = not same and not (state == parent and _made_nothing(miss.compared))
        made = Above(reporter.number, reporter.title, state, changed)
        for key in keys:
            session.made[key] = made
            store.records.put(replace(record, key=key))
        if listing:
            from builder.engine.listings import keep_few

            keep_few(session, record)
    _note(session, work, place, parent, record, keys, shared)
    reporter.finish(Outcome.MISS, size=size, key=record.key, state=state, same=same)
    from builder.engine.room import keep_limit  # late: a cached build makes nothing

    keep_limit(session)
    return Done(state, record.created, changed=changed, made=True)


def _made_nothing(record: Record | None) -> bool:
    """Whether a step led to the state that it stood on."""
    return record is not None and ("parent", "", record.state.hex()) in record.parts


def _look_up(session: Session, place: Place, key: bytes) -> Record | None:
    """The record of a key whose files are there; one that points to something missing is a miss."""
    store = session.store
    record = store.records.get(key) if place.asked else None
    if record is None or expired(place.control, record):
        return None
    if session.remote is not None and not session.remote.trusts(key):
        return None
    if record.state == SCRATCH or store.is_available(record.state):
        return record
    if store.states.get(record.state) is not None:
        return None  # promised by a remote cache that this build does not use
    session.events.warn(f"the files of a cached step are missing from the store: {record.state.hex()[:12]}")
    return None


@contextmanager
def _held(reporter: StepReporter, lock: AbstractContextManager[object]) -> Iterator[None]:
    """Something that only some may have at once: waiting for it is no time of the step."""
    with ExitStack() as stack:
        with reporter.waiting():
            stack.enter_context(lock)
        yield


def _hit(session: Session, reporter: StepReporter, record: Record, origin: str = "") -> Done:
    """`origin` is the remote cache that a record comes from, empty for the store's own."""
    reporter.finish(
        Outcome.HIT,
        size=record.size,
        key=record.key,
        state=record.state,
        saved=record.seconds,
        origin=origin,
    )
    twin = session.made.get(record.key)
    return Done(record.state, record.created, changed=twin is not None and twin.changed, twin=twin)


def _name_wholly(
    session: Session,
    work: Work,
    record: Record,
    further: Iterator[tuple[Part, ...]],
    shared: list[SharedKey],
) -> None:
    """Bring the keys that every machine has to their end where a record of this store was found: what is written to a
    cache is found by all of them, by the complete one whatever became of the stage that files come from. `further` are the
    parts that were not looked up any more, which are made only if the files that they are about are here.
    """
    remote = session.remote
    if remote is None or remote.export is None or (not shared and remote.key_known(record.key) is not None):
        return
    shared.append(remote.shared_key(work.portable_parts(remote.portables)))
    if _are_here(session, work.origin_states()):
        shared += (remote.shared_key(work.portable_parts(remote.portables)) for _ in further)


def _are_here(session: Session, states: Sequence[bytes]) -> bool:
    """Whether all files of some states are in the store."""
    try:
        return all(part.snapshot for state in states for part in session.store.chain(state))
    except StoreError:
        return False


def _note(
    session: Session,
    work: Work,
    place: Place,
    parent: bytes,
    record: Record,
    keys: list[bytes],
    shared: list[SharedKey],
) -> None:
    """Give a step that was done to the remote caches that are written to; `keys` are those that it was looked up by."""
    remote = session.remote
    if remote is None or remote.export is None:
        return
    known = None if shared else remote.key_known(record.key)
    if known is None:
        known = tuple(shared) or (remote.shared_key(work.portable_parts(remote.portables)),)
        for key in {record.key, *keys}:
            remote.remember_key(key, known)
    from builder.engine.shared_steps import DoneStep

    list_now = partial(work.save_shared_listing, remote.portables)
    remote.export.add(DoneStep(remote.slot(place.slot), parent, record, known, list_now))


def _beginning(
    session: Session, place: Place, parts: tuple[Part, ...], work: Work, listing: str
) -> Callable[[Run], bool] | None:
    """How to begin with the newest earlier result of a step that takes files, None if it must not."""
    from builder.engine.copy_work import CopyWork

    if not place.cached or not isinstance(work, CopyWork):
        return None
    remote = session.remote
    records = [
        record
        for record in session.store.records.nearest(place.slot, _COMPARED)
        if record.listing and (remote is None or remote.trusts(record.key))
    ]
    wanted = [part.value for part in parts if part.kind == "destination"]
    for record in records:
        if [value for kind, _, value in record.parts if kind == "destination"] == wanted:
            file = session.store.listing_file(place.slot, listing)
            return partial(work.begin_with, parts=parts, earlier=record, listing=file)
    return None


def _carry_out(
    session: Session,
    place: Place,
    reporter: StepReporter,
    parent: bytes,
    work: Work,
    begin: Callable[[Run], bool] | None,
) -> tuple[bytes, int]:
    """Do the work and keep what it changed: the new state, and the bytes of file content in its layer."""
    if begin is not None:
        try:
            return _attempt(session, place, reporter, parent, work, begin)
        except (Cancelled, CacheLostError):
            raise
        except (StepError, CoreError):
            work.forget_beginning()
    return _attempt(session, place, reporter, parent, work, None)


def _attempt(
    session: Session,
    place: Place,
    reporter: StepReporter,
    parent: bytes,
    work: Work,
    begin: Callable[[Run], bool] | None,
) -> tuple[bytes, int]:
    from builder.execute.rootfs import StepRoot

    store = session.store
    with store.new_run() as run:
        if work.makes_many:
            run.spread()
        if begin is not None:
            begin(run)
        with StepRoot(store, run, parent, alone=work.alone, process=work.process) as root:
            work.carry_out(root, reporter)
            changes = root.settle(newest=session.fixed_time)
        # Whoever wrote them; what was not known of them was read back and fingerprinted.
        store.meter.count(read=changes.hashed, hashed=changes.hashed, written=changes.bytes)
        if changes.entries == 0:
            return parent, 0
        state = state_after(parent, changes.fingerprint, store.secret)
        if session.fixed_time is not None:  # the same files with other times are another state
            state = state_after(state, b"time %d" % session.fixed_time, store.secret)
        if not place.cached and store.states.get(state) is not None:
            # Who asks for no cache wants the files just made, with their times, not equal ones of an earlier build.
            state = state_after(state, os.urandom(16), store.secret)
        store.states.adopt(run, state, parent, entries=changes.entries, size=changes.bytes)
        work.kept(state)
        return state, changes.bytes


def _why(
    session: Session,
    title: str,
    place: Place,
    work: Work,
    parts: tuple[Part, ...],
    keys: Sequence[bytes],
    listing: str,
    shared: Sequence[SharedKey],
    too_old: str,
) -> Miss:
    """Why the step is carried out; `too_old` says that of a record that a remote cache has."""
    if not place.cached:
        return Miss((Reason("no-cache", "", place.refusal),))
    miss = why_missed(
        *(session, place.slot, title, parts, keys),
        above=place.above,
        sources=place.sources,
        listing=session.store.listing_file(place.slot, listing) if listing else "",
        shown=work.shown,
    )
    if place.control.never or place.control.expires:
        # What it is compared with is its last run, even one that was made of just the same.
        own = session.store.records.find(keys[-1])
        if why := decided_anew(place.control):
            return Miss((Reason("no-cache", "", why),), own or miss.compared)
        if own is not None and (why := expired(place.control, own)):
            return Miss((Reason("expired", "", why),), own)
    if session.remote is None:
        return miss
    if not session.remote.trusts(keys[-1]):
        return Miss((Reason("no-cache", "", UNTRUSTED),), miss.compared)
    if too_old:
        return Miss((Reason("expired", "", too_old),), miss.compared)
    list_now = partial(work.save_shared_listing, session.remote.portables)
    return session.remote.reasons.complete(
        miss, place.slot, parts, shared, place.above, place.sources, list_now, work.shown
    )


def _from_core(error: CoreError) -> BuilderError:
    """A failure of the C core as an error of the build."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"no space is left: {error.message}", hint="free some space where the store is")
    return StepError(error.message)
