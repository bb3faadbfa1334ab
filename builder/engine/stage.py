"""One stage, from its base to its last step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from builder.buildfile.parse_trigger import parse_trigger
from builder.engine.base import resolve_base
from builder.engine.session import Session
from builder.engine.step import Done, Place, perform
from builder.graph.plan import PlanOptions, plan_stage
from builder.graph.stages import Stage
from builder.image.config import ImageConfig
from builder.image.history import HistoryEntry


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage came to: its files (a state), its config, and how it got there."""

    state: bytes
    config: ImageConfig
    history: tuple[HistoryEntry, ...]
    created: float
    args: tuple[tuple[str, str | None], ...] = ()
