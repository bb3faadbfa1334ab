"""What one build shares between its stages: the store, the request, where events go, and the word to stop."""

from __future__ import annotations

import threading

from builder.engine.contexts import Contexts
from builder.engine.inputs import Inputs
from builder.engine.normal import AS_THEY_ARE, Normal, git_like
from builder.engine.plans import Plans
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.errors import Cancelled
from builder.graph.stages import Graph
from builder.store.records import Record
from builder.store.store import Store
from builder.value import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.engine.early import EarlyLayers
    from builder.engine.reasons import Above
    from builder.engine.remote_cache import RemoteCache
    from builder.engine.verified import VerifiedStep
    from builder.graph.steps import Step


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a step stands in a build: the state that it begins with, its stage by name (or empty) and index."""

    step: Step
    parent: bytes
    stage: str
    index: int


Parts = frozenset[tuple[str, str, str]]
Line = frozenset[tuple[str, str, str]]
"""What a line of a build file says, as parts have it."""


@dataclass(frozen=True, slots=True)
class Session:
    """One build going on."""

    request: BuildRequest
    inputs: Inputs
    store: Store
    graph: Graph
    plans: Plans
    contexts: Contexts
    events: Events
    cancelled: threading.Event
    remote: RemoteCache | None = None
    # How many steps may work at once: waiting for another stage does not count.
    workers: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(2))

    # What a verification is about: all steps, as they come, and what was found of those that were verified.
    stood: list[Stand] = field(default_factory=list)
    verified: list[VerifiedStep] = field(default_factory=list)
    # Held while room is made in the store; what was told once.
    room: threading.Lock = field(default_factory=threading.Lock)
    told: set[str] = field(default_factory=set)
    # Layers that are made while steps run: one, if there are any.
    early: list[EarlyLayers] = field(default_factory=list)
    # The steps that were carried out, by their keys: equal ones of other stages are hits, and lead to these.
    # What was there before is known by them and not by time, as clocks are set back.
    made: dict[bytes, Above] = field(default_factory=dict)
    # The steps of stages by what their slots begin with, and what their lines say, once somebody asked.
    lines: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    said: dict[str, frozenset[Line]] = field(default_factory=dict)
    # Records of earlier builds by slot, with their parts as a set, and where the build file was before by stages; see
    # `builder.engine.nearest`.
    earlier: dict[str, list[tuple[Record, Parts]]] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)

    @property
    def fixed_time(self) -> int | None:
        """What the times of all files of a reproducible build are, in seconds since 1970; None for any other build."""
        return max(self.graph.epoch or 0, 0) if self.request.reproducible else None

    @property
    def normal(self) -> Normal:
        """What files of contexts get when they are copied."""
        return AS_THEY_ARE if self.fixed_time is None else git_like(self.fixed_time)

    def check(self) -> None:
        """Raise `Cancelled` if the build is to stop."""
        if self.cancelled.is_set():
            raise Cancelled("the build was stopped")
