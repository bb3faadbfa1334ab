"""What one build shares between its stages: the store, the request, where events go, and the word to stop."""

from __future__ import annotations

import threading
import time

from builder.engine.contexts import Contexts
from builder.engine.inputs import Inputs
from builder.engine.plans import Plans
from builder.engine.reporter import Events
from builder.engine.request import BuildRequest
from builder.errors import Cancelled
from builder.graph.stages import Graph
from builder.store.store import Store
from builder.value import dataclass, field


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
    begun: float = field(default_factory=time.time)
    # How many steps may work at once: waiting for another stage does not count.
    workers: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(2))

    def check(self) -> None:
        """Raise `Cancelled` if the build is to stop."""
        if self.cancelled.is_set():
            raise Cancelled("the build was stopped")
