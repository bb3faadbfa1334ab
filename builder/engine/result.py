"""What a build gives back."""

from __future__ import annotations

from collections.abc import Mapping

from builder.events import Condition, LayerSize, StepFinished, Traffic
from builder.value import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from builder.engine.verified import VerifiedStep


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A finished build.

    `image_id` is the digest of the config, `digest` that of the manifest; both are empty if no output asked for an
    image. `metadata` is what `--metadata-file` writes, with buildx's keys. `build` is the build's number in the store's history.
    `layers` are those of the image, `traffic` the bytes that were moved, `conditions` what the caller required and what
    became of it. `verified` are the steps that were to be verified.
    """

    image_id: str
    digest: str
    names: tuple[str, ...]
    steps: tuple[StepFinished, ...]
    seconds: float
    metadata: Mapping[str, Any] = field(default_factory=dict)
    build: int = 0
    layers: tuple[LayerSize, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    conditions: tuple[Condition, ...] = ()
    verified: tuple[VerifiedStep, ...] = ()

    @property
    def unmet(self) -> tuple[Condition, ...]:
        """The conditions that are not met."""
        return tuple(condition for condition in self.conditions if not condition.met)
