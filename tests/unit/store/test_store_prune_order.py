"""What prune removes, and in which order, compared with a model: the longest unused first, nothing that something stands on, that an
image with a name needs or that somebody uses.
"""

from __future__ import annotations

import os
import tempfile
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from builder.events import Outcome
from builder.image.platform import host_platform
from builder.store.history import Build, BuildStep
from builder.store.prune import PrunePolicy, prune
from builder.store.runs import new_run
from builder.store.states import SCRATCH
from builder.store.store import Store, open_store
from builder.store.survey import Item, survey
from builder.value import dataclass, replace

MANIFEST = (
    b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [], "config": '
    b'{"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, '
    b'"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}, "annotations": {"n": "%d"}}'
)


@dataclass(frozen=True, slots=True)
class Node:
    """A state: what it stands on (-1: nothing), when it was made and last used (days ago), the kilobytes of its file, whether an
    image with a name has it, and whether another process uses it.
    """

    below: int
    made: int
    used: int
    size: int
    named: bool
    held: bool


@st.composite
def forests(draw: st.DrawFn) -> list[Node]:
    count = draw(st.integers(4, 14))
    rarely = st.sampled_from([False] * 8 + [True])
    return [
        Node(
            draw(st.integers(-1, number - 1)),
            draw(st.integers(5, 30)),
            draw(st.integers(0, 40)),
            draw(st.sampled_from([1, 5, 40])),
            draw(rarely),
            draw(rarely),
        )
        for number in range(count)
    ]


def make(store: Store, forest: list[Node], now: float) -> tuple[list[bytes], list[float]]:
    """The states of a forest, with a history that says when builds used them; and these times."""
    states: list[bytes] = []
    times: list[float] = []
    for number, node in enumerate(forest):
        states.append(os.urandom(16))
        parent = states[node.below] if node.below >= 0 else SCRATCH
        with new_run(store.fd, store.path) as run:
            with open(os.path.join(store.path, run.upper, "file"), "wb") as stream:
                stream.write(os.urandom(node.size << 10))
            store.states.adopt(run, states[-1], parent, entries=1, size=node.size << 10)
        made = now - node.made * 86400 + number  # no two at the same time
        times.append(made)
        store.database.run("UPDATE states SET created = ? WHERE id = ?", (made, states[-1]))
        if node.used < node.made:
            used = now - node.used * 86400 - 100 + number
            times[-1] = used
            step = BuildStep(1, "s", "RUN x", "", 1, Outcome.HIT, used, 0.0, state=states[-1])
            store.history.add(Build(started=used, seconds=1.0, outcome="done"), [step])
        if node.named:
            image = store.put_image(MANIFEST % number, b"{}", state=states[-1], platform=host_platform())
            store.images.tag(image, f"image{number}")
    return states, times


def expected(
    forest: list[Node], times: list[float], items: dict[int, Item], keep: int, size: int
) -> list[int]:
    """The numbers of the states that go, in their order, until what has a size has no more than may be kept."""
    there = set(range(len(forest)))
    needed = set()
    for number, node in enumerate(forest):
        below = number if node.named else -1
        while below >= 0:
            needed.add(below)
            below = forest[below].below
    gone = []
    while not keep or size > keep:
        free = [
            number
            for number in there - needed
            if not forest[number].held and not any(forest[other].below == number for other in there)
        ]
        if not free:
            break
        oldest = min(free, key=lambda number: times[number])
        there.remove(oldest)
        gone.append(oldest)
        size -= items[oldest].counted
    return gone


@settings(max_examples=int(os.environ.get("PRUNE_ROUNDS", "60")))
@given(forests(), st.sampled_from([0, 0, 10, 60, 200]), st.booleans())
def test_the_longest_unused_goes_first(forest: list[Node], kilobytes: int, whole: bool) -> None:
    """With `whole` it is the size of the store that is bounded, as builds do by a limit."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(folder + "/store") as store,
        open_store(folder + "/store") as other,
    ):
        states, times = make(store, forest, time.time())
        store.holds.close()  # of what was made here nothing is used any more
        store.holds.store()
        for node, state in zip(forest, states, strict=True):
            if node.held:
                assert other.states.get(state) is not None
        seen = survey(store)
        numbers = {state.hex(): number for number, state in enumerate(states)}
        items = {numbers[item.id]: item for item in seen.items if item.kind == "step"}
        keep = kilobytes << 10
        if whole and keep:
            keep += seen.database
            policy = PrunePolicy(store=keep)
            wanted = expected(forest, times, items, keep, seen.total)
        else:
            policy = PrunePolicy(most=keep)
            wanted = expected(forest, times, items, keep, seen.cached)
        dry = prune(store, replace(policy, dry_run=True))
        done = prune(store, policy, sweep=not whole)
        assert [numbers[item.id] for item in done.items] == wanted
        # What a dry run says goes; it may say less where what is used would have to be asked for first.
        assert [numbers[item.id] for item in dry.items] == wanted
        left = {row[0] for row in store.database.all("SELECT id FROM states")}
        assert left == {state for number, state in enumerate(states) if number not in wanted}
        assert {item.id for item in survey(store).items if item.kind == "step"} == {
            state.hex() for state in left
        }
