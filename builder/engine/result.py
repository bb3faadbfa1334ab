"""What a build gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from builder.events import StepFinished
from builder.value import dataclass, field


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A finished build.

    `image_id` is the digest of the config, `digest` that of the manifest; both are empty if no output asked for an
    image. `metadata` is what `--metadata-file` writes, with buildx's keys. `build` is the build's number in the store's history.
    """

    image_id: str
    digest: str
    names: tuple[str, ...]
    steps: tuple[StepFinished, ...]
    seconds: float
    metadata: Mapping[str, Any] = field(default_factory=dict)
    build: int = 0
