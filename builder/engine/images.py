"""Images of the store, for commands: pull, push, load, save, list, inspect, tag, remove."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from builder.errors import ImageError, UsageError
from builder.image.config import parse_document
from builder.image.platform import Platform, host_platform
from builder.store.images import StoredImage
from builder.store.store import Store

Progress = Callable[[str, int, int], None]


def require_image(store: Store, name: str) -> StoredImage:
    """The image of a name or id; an `ImageError` if the store has none."""
    image = store.find_image(name)
    if image is None:
        raise ImageError(f'the store has no image "{name}"', hint="pybuild images lists what is there")
    return image
